package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/inventory"
	"plainsight/analyze/openapi"
)

// maxRouteFile is the longest file of routes that is read, in bytes.
const maxRouteFile = 64 << 20

// readRoutes reads the templates that a person gives; nil where there is no
// name.
func readRoutes(name string) (*endpoint.Routes, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRouteFile+1))
	if err != nil {
		return nil, usageError{err}
	}
	if len(text) > maxRouteFile {
		return nil, usagef("%s: routes of more than %d MiB are not read", filepath.Base(name), maxRouteFile>>20)
	}
	list, err := openapi.Routes(text)
	if err != nil {
		return nil, usagef("%s: %w", filepath.Base(name), err)
	}
	if len(list) == 0 {
		return nil, usagef("%s: no route is in it (want METHOD /path/{id} on each line, or an OpenAPI document)", filepath.Base(name))
	}
	routes, err := endpoint.NewRoutes(list)
	if err != nil {
		return nil, usagef("%s: %w", filepath.Base(name), err)
	}
	return routes, nil
}

// explain says why a path has its template: PATH, METHOD PATH or HOST/PATH.
func explain(out io.Writer, in *inventory.Inventory, what string) error {
	method, path, ok := strings.Cut(what, " ")
	if !ok {
		method, path = "", what
	}
	if _, rest, ok := strings.Cut(path, "://"); ok {
		path = rest
	}
	host, path, ok := strings.Cut(path, "/")
	if !ok {
		return usagef("--explain wants a path, as /users/7 or GET shop.example/users/7")
	}
	path, _, _ = strings.Cut("/"+path, "?")
	found := false
	for _, e := range in.Explain([]byte(path)) {
		methods := strings.Join(e.Methods, " ")
		if host != "" && !strings.EqualFold(host, e.Service) || method != "" && methods != "" && !strings.Contains(" "+methods+" ", " "+strings.ToUpper(method)+" ") {
			continue
		}
		if err := writeExplanation(out, &e, methods); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return usagef("no endpoint has the path %s (only answers below 400 make endpoints)", analyze.Clean([]byte(what)))
	}
	return nil
}

const shownReasons = 8 // of a segment

func writeExplanation(out io.Writer, e *endpoint.Explanation, methods string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of %s\n", map[bool]string{true: "any method", false: methods}[methods == ""], e.Template, e.Service)
	if e.Given {
		b.WriteString("  as --routes says\n")
	}
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "\n  /%s", s.Part)
		if s.Segment != s.Part {
			fmt.Fprintf(&b, "   for %s", s.Segment)
		}
		fmt.Fprintf(&b, "\n    %s\n", s.Because)
		if s.For == nil {
			continue
		}
		for i, r := range s.For {
			if i == shownReasons {
				fmt.Fprintf(&b, "           and %d more\n", len(s.For)-i)
				break
			}
			fmt.Fprintf(&b, "    %+6.2f  %s\n", r.Weight, r.Text)
		}
		fmt.Fprintf(&b, "    %+6.2f  in all; values have %g or more\n", s.Odds, s.Bar)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(out, b.String())
	return err
}
