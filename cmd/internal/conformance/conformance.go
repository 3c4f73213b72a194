// Package conformance holds the scores over sets of traffic that nobody of this
// project wrote: captures with known transactions, hostile scenarios, labelled
// bodies, traffic made from API documents. They are tests under the build tag
// conformance, they drive the built binary as a user does, and each score has a
// floor: make conformance runs them. The sets lie in ../shared beside the
// checkout, or where PLAINSIGHT_SHARED says.
package conformance
