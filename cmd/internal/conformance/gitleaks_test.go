//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gitleaks is the peer for secrets with a form of their own (MIT). It is a tool of
// this run and no part of the product.
const gitleaks = "github.com/zricethezav/gitleaks/v8@v8.30.1"

// peerTypes are the kinds that gitleaks has a rule of their own for. Its
// generic-api-key has no kind and is left out.
var peerTypes = map[string]bool{
	"aws_access_key_id": true, "github_token": true, "gitlab_token": true, "slack_token": true, "slack_webhook": true, "stripe_key": true, "twilio_key": true, "sendgrid_key": true, "npm_token": true,
	"pypi_token": true, "openai_key": true, "anthropic_key": true, "huggingface_token": true, "digitalocean_token": true, "shopify_token": true, "telegram_bot_token": true, "vault_token": true,
	"databricks_token": true, "mailchimp_key": true, "newrelic_key": true, "grafana_token": true, "azure_client_secret": true, "gcp_api_key": true, "private_key": true, "jwt": true,
}

// labelled is a sample of ../shared/sensitive.
type labelled struct {
	ID, Method, Host, URL, Body string
	Headers                     [][2]string
	Labels                      []struct {
		At, Ptr, Type, Val string
		Alt                []string
	}
}

// matched is what a tool found of the labels of a set.
type matched struct{ labels, found, said, right int }

func (n matched) recall() float64    { return share(n.found, n.labels) }
func (n matched) precision() float64 { return share(n.right, n.said) }

// TestGitleaks holds the detectors against gitleaks on the kinds of secrets that
// it has rules for, over the same samples.
func TestGitleaks(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	install := exec.Command("go", "install", gitleaks)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	install.Dir = t.TempDir()
	if b, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", gitleaks, err, b)
	}
	name := shared(t, "sensitive", "dev.jsonl")
	samples := readLines[labelled](t, name)
	dir := t.TempDir()
	for _, s := range samples {
		var b bytes.Buffer
		b.WriteString(s.Method + " " + s.Host + s.URL + "\n")
		for _, h := range s.Headers {
			b.WriteString(h[0] + ": " + h[1] + "\n")
		}
		b.WriteString("\n" + s.Body)
		if err := os.WriteFile(filepath.Join(dir, s.ID), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "report.json")
	peer := run(t, nil, filepath.Join(bin, "gitleaks"), "dir", "--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", out, dir)
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, peer.stderr)
	}
	var leaks []struct{ RuleID, Secret, File string }
	if err := json.Unmarshal(raw, &leaks); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]string{} // by sample
	var theirs, ours matched
	said := func(id, secret string) { secrets[id] = append(secrets[id], bare(secret)) }
	for _, l := range leaks {
		if l.RuleID != "generic-api-key" {
			said(filepath.Base(l.File), l.Secret)
		}
	}

	input, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	own := run(t, input, binary, "scan", "--jsonl")
	type at struct{ ID, At, Ptr string }
	found := map[at][]string{}
	for _, p := range decodeLines[struct{ ID, At, Ptr, Type string }](t, own.stdout) {
		found[at{p.ID, p.At, p.Ptr}] = append(found[at{p.ID, p.At, p.Ptr}], p.Type)
	}

	for _, s := range samples {
		known := map[at][]string{}
		var values []string
		for _, l := range s.Labels {
			place := at{s.ID, l.At, l.Ptr}
			known[place] = append(append(known[place], l.Type), l.Alt...)
			values = append(values, bare(l.Val))
			if !peerTypes[l.Type] {
				continue
			}
			theirs.labels++
			ours.labels++
			if overlaps(bare(l.Val), secrets[s.ID]) {
				theirs.found++
			}
			if slices.Contains(found[place], l.Type) || anyAmong(l.Alt, found[place]) {
				ours.found++
			}
		}
		for _, secret := range secrets[s.ID] {
			if theirs.said++; overlaps(secret, values) {
				theirs.right++
			}
		}
		for place, kinds := range found {
			if place.ID != s.ID {
				continue
			}
			for _, k := range kinds {
				if peerTypes[k] {
					if ours.said++; slices.Contains(known[place], k) {
						ours.right++
					}
				}
			}
			delete(found, place)
		}
	}
	t.Logf("%d labels of %d kinds\n%-12s %9s %9s %9s\n%-12s %9.4f %9.4f %8.1fs\n%-12s %9.4f %9.4f %8.1fs", ours.labels, len(peerTypes), "", "precision", "recall", "CPU",
		"plainsight", ours.precision(), ours.recall(), own.cpu.Seconds(), "gitleaks", theirs.precision(), theirs.recall(), peer.cpu.Seconds())
	floor(t, "secrets of gitleaks' kinds, precision", ours.precision(), 0.99)
	floor(t, "secrets of gitleaks' kinds, recall", ours.recall(), 0.99)
	floor(t, "recall less that of gitleaks", ours.recall()-theirs.recall(), 0)
}

// bare takes out of a value what its writing in JSON puts in.
func bare(s string) string {
	return strings.NewReplacer("\\n", "", "\\r", "", "\\/", "/", "\n", "", "\r", "", " ", "", "\\", "").Replace(s)
}

// overlaps reports whether one of the list holds s or is held by it.
func overlaps(s string, list []string) bool {
	for _, o := range list {
		if len(o) > 3 && (strings.Contains(o, s) || strings.Contains(s, o)) {
			return true
		}
	}
	return false
}

func anyAmong(some, list []string) bool {
	return slices.ContainsFunc(some, func(s string) bool { return slices.Contains(list, s) })
}
