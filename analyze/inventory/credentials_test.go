package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/capture"
)

// Keys and tokens that cross services, networks and connections are joined the
// same on any number of shards.
func TestCredentialsJoinOverServicesAndShards(t *testing.T) {
	var list []*capture.Exchange
	say := func(client, host, header, answer string) {
		n := uint64(len(list))
		server := fmt.Sprintf("10.1.0.%d:80", len(host))
		list = append(list, talk(n*4, client, server, "GET /v1/things/"+fmt.Sprint(n)+" HTTP/1.1\nHost: "+host+"\n"+header+"\n---\n"+answer+"\nContent-Type: application/json\n\n{\"a\":1}"))
	}
	for i := range 90 {
		client := fmt.Sprintf("10.0.%d.%d", i%7, i%50+1)
		say(client, []string{"api.shop.example", "api.news.example.net", "staging.shop.example"}[i%3], "X-Api-Key: 9Qw8xN2mB7cR5tY1"+fmt.Sprint(i%5), "200")
		say(client, "api.shop.example", "Authorization: Bearer "+token+"\nUser-Agent: "+[]string{"Mozilla/5.0 a", "Mozilla/5.0 b"}[i%2], []string{"200", "200", "401"}[i%3])
	}
	var want string
	for _, shards := range []int{1, 2, 8} {
		in := New(Options{Key: analyze.Key{1}})
		play(in, shards, list)
		s := in.Snapshot(nil, nil)
		for _, rule := range []string{"key.shared", "key.multi-service", "tok.shared", "inv.nonprod-in-prod"} {
			if !slices.ContainsFunc(s.Findings, func(f analyze.Finding) bool {
				return f.Rule == rule && strings.Contains(f.Summary, "credential") && len(f.Evidence) > 0
			}) {
				t.Errorf("%d shards: %s is not found", shards, rule)
			}
		}
		if got := marshal(t, s); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%d shards say something else", shards)
		}
	}
}

func TestForgottenCredentialsAreCounted(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}, Credentials: 100})
	for i := range uint64(1000) {
		in.Worker(0).Exchange(talk(i, "10.0.0.1", "10.1.0.1:80", fmt.Sprintf("GET /a HTTP/1.1\nHost: h\nX-Api-Key: 9Qw8xN2mB7cR5tY1%d\n---\n200\n", i)))
	}
	s := in.Snapshot(nil, nil)
	if !slices.ContainsFunc(s.Coverage.Counts, func(c analyze.Count) bool { return c.Name == "inventory_credential_limit" && c.Value >= 900 }) {
		t.Errorf("%+v", s.Coverage.Counts)
	}
}
