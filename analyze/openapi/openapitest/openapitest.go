// Package openapitest judges documents of package openapi by what others made:
// a validator of traffic (kin-openapi, MIT: it knows OpenAPI 3.1) and a linter
// (Redocly, through npm). Tests alone call it; the program never does.
package openapitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Exchange is a request with its answer.
type Exchange struct {
	Method, URL                   string
	RequestHeader, ResponseHeader http.Header
	RequestBody, ResponseBody     []byte
	Status                        int
}

// Validator checks exchanges against a document.
type Validator struct {
	router routers.Router
}

// New reads a document, which must be valid itself.
func New(document []byte) (*Validator, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &Validator{router}, nil
}

// know has the validator take bodies that it has no decoder for: sequences of
// JSON as the array that they are described as, and anything else as text.
func know(contentType string) {
	decoders.Lock()
	defer decoders.Unlock()
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil || strings.HasPrefix(mediaType, "multipart/"):
	case mediaType == "text/event-stream" || mediaType == "application/x-ndjson":
		openapi3filter.RegisterBodyDecoder(mediaType, sequence)
	case openapi3filter.RegisteredBodyDecoder(mediaType) == nil && !strings.HasSuffix(mediaType, "+json"):
		openapi3filter.RegisterBodyDecoder(mediaType, text)
	}
}

var decoders sync.Mutex // the validator's table of them is one for all

func text(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	all, err := io.ReadAll(body)
	return string(all), err
}

func sequence(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	all, err := io.ReadAll(body)
	list := []any{}
	for line := range bytes.Lines(all) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data:")))
		var v any
		if len(line) == 0 || json.Unmarshal(line, &v) != nil {
			continue
		}
		list = append(list, v)
	}
	return list, err
}

// Check returns what is wrong with an exchange. A request that was refused is
// not looked at, only its answer; nor is a slash at the end of a path, which
// documents leave out as linters want it. Its error quotes traffic: for tests alone.
func (v *Validator) Check(x *Exchange) error {
	req, err := http.NewRequest(x.Method, x.URL, bytes.NewReader(x.RequestBody))
	if err != nil {
		return err
	}
	if p := req.URL; len(p.Path) > 1 {
		p.Path, p.RawPath = strings.TrimSuffix(p.Path, "/"), strings.TrimSuffix(p.RawPath, "/")
	}
	req.Header = x.RequestHeader.Clone()
	know(x.RequestHeader.Get("Content-Type"))
	know(x.ResponseHeader.Get("Content-Type"))
	route, params, err := v.router.FindRoute(req)
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if x.Status > 0 && x.Status < 400 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	if x.Status == 0 || x.Status == http.StatusNotModified {
		return nil
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: x.Status, Header: x.ResponseHeader, Options: in.Options}
	if len(x.ResponseBody) == 0 {
		// A body that may be missing is not said so by OpenAPI.
		out.Options = &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: true}
	}
	out.Body = io.NopCloser(bytes.NewReader(x.ResponseBody))
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		return fmt.Errorf("response %d: %w", x.Status, err)
	}
	return nil
}

// Lint returns what Redocly's linter finds wrong in documents: errors, no
// warnings.
func Lint(files ...string) (problems string, err error) {
	tool, err := linter()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(tool, append([]string{"lint", "--format=stylish", "--max-problems=20"}, files...)...)
	cmd.Dir = filepath.Dir(files[0]) // without a configuration of ours
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return string(out), nil
	case err != nil:
		return "", err
	case !validDocuments.Match(out):
		return "", fmt.Errorf("the linter did not say that all is well: %s", out)
	}
	return "", nil
}

var validDocuments = regexp.MustCompile(`Your API descriptions? (is|are) valid`)

// linter finds the program that make deps installs.
func linter() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
	tool := filepath.Join(dir, "build", "npm", "node_modules", ".bin", "redocly")
	if _, err := os.Stat(tool); err != nil {
		return "", errors.New("the linter is not there: make deps installs it")
	}
	return tool, nil
}

// Header makes a header of pairs.
func Header(pairs [][2]string) http.Header {
	h := http.Header{}
	for _, p := range pairs {
		h.Add(p[0], strings.TrimSpace(p[1]))
	}
	return h
}
