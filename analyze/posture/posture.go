// Package posture holds the rules that judge traffic: the catalogue as one table
// (Rules), and the mechanism that all of them share: what counts as success, who
// the principal is, how sure a finding is, and that there is one finding for
// each rule, service, endpoint and place.
//
// A [Reader] reads the credentials of an exchange into an [Observation]; Observe
// asks every rule about it and adds what they see to the [State] of its endpoint
// and of its service. States merge in any order. [State.Findings] concludes, when
// the template of the endpoint is known.
//
// It never imports package capture and never keeps a captured value: credentials
// become a mask and a keyed fingerprint in the Reader. Package inventory calls it.
package posture
