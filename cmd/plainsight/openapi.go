package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"plainsight/analyze"
	"plainsight/analyze/openapi"
)

type openapiCmd struct {
	Files   []string `arg:"" name:"file" help:"Captures or logs of exchanges, as for read."`
	Out     string   `help:"Write a file for each service into DIR (otherwise to standard output)." placeholder:"DIR"`
	Format  string   `enum:"openapi,postman,list" default:"openapi" help:"What to write for a service: ${enum}." placeholder:"FORMAT"`
	JSON    bool     `name:"json" help:"Write JSON instead of YAML."`
	Service string   `help:"Only this service." placeholder:"NAME"`
	Routes  string   `help:"Path templates that go before what is inferred: a list (GET /users/{id} on each line) or an OpenAPI document." placeholder:"FILE"`
	Shards  int      `default:"0" help:"Shards that read connections side by side; 0: one for each core." placeholder:"N"`
}

// Help is shown below the flags.
func (*openapiCmd) Help() string {
	return `  plainsight openapi capture.pcapng
  plainsight openapi --json --out documents/ capture.pcapng
  plainsight openapi --format list capture.pcapng`
}

// Run writes the documents.
func (c *openapiCmd) Run(ctx context.Context, a *app) error {
	in, err := a.inputs(c.Files)
	if err != nil {
		return err
	}
	routes, err := readRoutes(c.Routes)
	if err != nil {
		return err
	}
	snap, err := a.analyze(ctx, in, analysis{Key: analyze.NewKey(), Shards: c.Shards, Routes: routes})
	if err != nil {
		return err
	}
	byService := map[string][]analyze.Endpoint{}
	for _, e := range snap.Endpoints {
		if c.Service == "" || c.Service == e.Service {
			byService[e.Service] = append(byService[e.Service], e)
		}
	}
	services := make([]string, 0, len(byService))
	for s := range byService {
		services = append(services, s)
	}
	slices.Sort(services)
	switch {
	case len(services) == 0 && c.Service != "":
		return usagef("no endpoint of service %q was seen", c.Service)
	case len(services) == 0:
		return usagef("no endpoint was seen: there is nothing to document (plainsight read says what is in the file)")
	case len(services) > 1 && c.Out == "":
		if c.Format == "list" {
			break // lines say of which service they are
		}
		return usagef("%d services were seen: name one with --service, or a directory with --out: %s",
			len(services), strings.Join(services[:min(len(services), 10)], ", "))
	}
	var root *os.Root
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return fmt.Errorf("write documents: %w", err)
		}
		if root, err = os.OpenRoot(c.Out); err != nil {
			return fmt.Errorf("write documents: %w", err)
		}
		defer root.Close()
	}
	used := map[string]bool{}
	for _, s := range services {
		doc, err := c.document(s, byService[s])
		if err != nil {
			return fmt.Errorf("document %s: %w", s, err)
		}
		if root == nil {
			_, err = a.Stdout.Write(doc)
		} else {
			err = writeIn(root, c.fileName(s, used), doc)
		}
		if err != nil {
			return fmt.Errorf("write documents: %w", err)
		}
	}
	return nil
}

// document describes a service in the format wanted.
func (c *openapiCmd) document(service string, endpoints []analyze.Endpoint) ([]byte, error) {
	switch {
	case c.Format == "list":
		return openapi.List(service, endpoints), nil
	case c.Format == "postman":
		return openapi.Postman(service, endpoints)
	}
	doc, err := openapi.Document(service, endpoints)
	if err == nil && !c.JSON {
		doc, err = yaml.JSONToYAML(doc)
	}
	return doc, err
}

// fileName makes a name of our own letters from that of a service, which
// strangers chose.
func (c *openapiCmd) fileName(service string, used map[string]bool) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(service))
	name = strings.TrimLeft(name[:min(len(name), 100)], ".")
	for base, n := name, 2; name == "" || used[name]; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	used[name] = true
	switch {
	case c.Format == "list":
		return name + ".txt"
	case c.JSON || c.Format == "postman":
		return name + ".json"
	}
	return name + ".yaml"
}

func writeIn(root *os.Root, name string, doc []byte) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(doc)
	return errors.Join(err, f.Close())
}
