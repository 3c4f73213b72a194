package drift

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"plainsight/analyze"
)

// loader counts what was read.
type loader struct {
	limits Limits
	bytes  int64
	files  int
}

// tree is a directory that references do not leave.
type tree struct {
	root  *os.Root
	dir   string
	files map[string]*source // by slash path below dir; nil: not there
}

// source is one file as it was parsed.
type source struct {
	tree *tree
	path string // below the tree
	name string // for people
	top  any    // map[string]any, []any, string, float64, bool, nil
}

// maxDepth is how deep a file may nest.
const maxDepth = 500

// documentKey finds what a file of a directory must have to be looked at.
var documentKey = regexp.MustCompile(`(?m)^["']?(openapi|swagger)["']?\s*:|"(openapi|swagger)"\s*:`)

// source reads a file and the files that it refers to. In a search, what is no
// document is passed over: nil.
func (l *loader) source(t *tree, name string, search bool) (*source, error) {
	if s, ok := t.files[name]; ok {
		return s, nil
	}
	s := &source{tree: t, path: name, name: filepath.Join(t.dir, filepath.FromSlash(name))}
	fault := func(place string, err error) error { return &Error{File: s.name, Place: place, Err: err} }
	f, err := t.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, l.limits.File+1))
	if err != nil {
		return nil, err
	}
	l.bytes += int64(len(text))
	l.files++
	switch {
	case int64(len(text)) > l.limits.File:
		return nil, fault("", fmt.Errorf("longer than %d MiB", l.limits.File>>20))
	case l.bytes > l.limits.All:
		return nil, fault("", fmt.Errorf("all documents are longer than %d MiB", l.limits.All>>20))
	case l.files > l.limits.Files:
		return nil, fault("", fmt.Errorf("more than %d files", l.limits.Files))
	case search && !documentKey.Match(text):
		return nil, nil // read again if a document refers to it
	}
	var place string
	if s.top, place, err = parse(text); err != nil {
		return nil, fault(place, err)
	}
	t.files[name] = s
	if search && !s.isDocument() {
		return s, nil
	}
	for _, ref := range references(s.top) {
		if file, ok := s.file(ref); ok && file != s.path {
			// What a reference leads to is missing or broken: the document is not.
			if _, err := l.source(t, file, false); err != nil {
				if l.files > l.limits.Files || l.bytes > l.limits.All {
					return nil, err
				}
				t.files[file] = nil
			}
		}
	}
	return s, nil
}

// isDocument reports whether the file says that it is one.
func (s *source) isDocument() bool {
	m, _ := s.top.(map[string]any)
	return m["openapi"] != nil || m["swagger"] != nil
}

// parse reads JSON or YAML; place says where it is wrong.
func parse(text []byte) (top any, place string, err error) {
	defer func() {
		if p := recover(); p != nil { // of the parser: the document is to blame, not the run
			top, place, err = nil, "", errors.New("cannot be parsed")
		}
	}()
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	first := bytes.TrimLeft(text, " \t\r\n")
	if len(first) == 0 {
		return nil, "", errors.New("is empty")
	}
	if first[0] == '{' || first[0] == '[' {
		d := json.NewDecoder(bytes.NewReader(text))
		if err := d.Decode(&top); err == nil {
			if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
				return nil, lineAt(text, d.InputOffset()), errors.New("something follows the JSON document")
			}
			if deep(top, maxDepth) {
				return nil, "", fmt.Errorf("nests deeper than %d", maxDepth)
			}
			return top, "", nil
		} else if place = jsonPlace(text, err); place != "" {
			var top any // YAML in braces is rare, but it is YAML
			if yaml.Unmarshal(text, &top) != nil || deep(top, maxDepth) {
				return nil, place, errors.New("is not JSON: " + jsonFault(err))
			}
			return plain(top), "", nil
		}
	}
	if err := yaml.Unmarshal(text, &top); err != nil {
		where, what := yamlFault(err)
		return nil, where, errors.New("is not YAML: " + what)
	}
	if deep(top, maxDepth) {
		return nil, "", fmt.Errorf("nests deeper than %d", maxDepth)
	}
	return plain(top), "", nil
}

func jsonPlace(text []byte, err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return lineAt(text, syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return lineAt(text, int64(len(text)))
	}
	return "line 1"
}

func jsonFault(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends in the middle"
	}
	return analyze.CleanLong(err.Error())
}

func lineAt(text []byte, offset int64) string {
	return "line " + strconv.Itoa(1+bytes.Count(text[:min(int(offset), len(text))], []byte("\n")))
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlFault takes place and reason from what the parser says, without the text
// that it quotes.
func yamlFault(err error) (place, what string) {
	text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		place = "line " + m[1]
	}
	return place, analyze.Clean([]byte(text))
}

// deep reports whether a value nests deeper than n. Values that YAML's aliases
// share are as deep as they look.
func deep(v any, n int) bool {
	if n == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			if deep(x, n-1) {
				return true
			}
		}
	case map[any]any:
		for _, x := range v {
			if deep(x, n-1) {
				return true
			}
		}
	case []any:
		for _, x := range v {
			if deep(x, n-1) {
				return true
			}
		}
	}
	return false
}

// plain makes what YAML gives look like JSON.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plain(x)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, x := range v {
			m[fmt.Sprint(k)] = plain(x)
		}
		return m
	case []any:
		for i, x := range v {
			v[i] = plain(x)
		}
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}

// references lists the references of a value, each once, in order.
func references(v any) []string {
	found := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if r, ok := v["$ref"].(string); ok {
				found[r] = true
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
	return sortedKeys(found)
}

// file gives the file that a reference leads to, below the tree. One to another
// host, or out of the tree, has none.
func (s *source) file(ref string) (string, bool) {
	file, _, _ := strings.Cut(ref, "#")
	if file == "" {
		return s.path, true
	}
	if u, err := url.Parse(file); err != nil || u.Scheme != "" || u.Host != "" {
		return "", false
	} else if u.Path != "" {
		file = u.Path
	}
	if strings.HasPrefix(file, "/") || strings.Contains(file, `\`) {
		return "", false
	}
	file = path.Join(path.Dir(s.path), file)
	return file, filepath.IsLocal(filepath.FromSlash(file))
}

// dangling counts the references of all documents that lead nowhere.
func (l *loader) dangling(t *tree) (n int) {
	for _, name := range sortedKeys(t.files) {
		s := t.files[name]
		if s == nil || !s.isDocument() {
			continue
		}
		for _, ref := range references(s.top) {
			if _, ok := s.follow(ref); !ok {
				n++
			}
		}
	}
	return n
}

// node is a value of a document with the file it stands in. The zero node is
// one that is not there.
type node struct {
	v  any
	in *source
}

// follow finds what a reference points at.
func (s *source) follow(ref string) (node, bool) {
	file, ok := s.file(ref)
	if !ok {
		return node{}, false
	}
	to := s
	if file != s.path {
		if to = s.tree.files[file]; to == nil {
			return node{}, false
		}
	}
	_, pointer, _ := strings.Cut(ref, "#")
	n := node{to.top, to}
	if pointer == "" {
		return n, true
	}
	pointer, ok = strings.CutPrefix(pointer, "/")
	if !ok {
		return node{}, false // an anchor
	}
	for i, part := range strings.Split(pointer, "/") {
		if i > maxDepth {
			return node{}, false
		}
		if p, err := url.PathUnescape(part); err == nil {
			part = p
		}
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		for range maxSteps { // a pointer may lead through a reference
			m, _ := n.v.(map[string]any)
			r, ok := m["$ref"].(string)
			if _, has := m[part]; !ok || has || r == ref {
				break
			}
			if f, err := n.in.file(r); !err || f != n.in.path && n.in.tree.files[f] == nil {
				return node{}, false
			}
			next, ok := n.in.shallow(r)
			if !ok {
				return node{}, false
			}
			n = next
		}
		switch v := n.v.(type) {
		case map[string]any:
			x, ok := v[part]
			if !ok {
				return node{}, false
			}
			n.v = x
		case []any:
			k, err := strconv.Atoi(part)
			if err != nil || k < 0 || k >= len(v) {
				return node{}, false
			}
			n.v = v[k]
		default:
			return node{}, false
		}
	}
	return n, true
}

// shallow follows a reference whose pointer leads through no other one.
func (s *source) shallow(ref string) (node, bool) {
	file, ok := s.file(ref)
	to := s.tree.files[file]
	if !ok || to == nil {
		return node{}, false
	}
	_, pointer, _ := strings.Cut(ref, "#")
	v := to.top
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		if p, err := url.PathUnescape(part); err == nil {
			part = p
		}
		m, _ := v.(map[string]any)
		if v, ok = m[strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")]; !ok {
			return node{}, false
		}
	}
	return node{v, to}, true
}

// maxSteps is how many references in a row are followed.
const maxSteps = 32

// resolve follows the references of n itself. What leads nowhere, or around in a
// circle, is not there.
func (n node) resolve() node {
	for range maxSteps {
		m, _ := n.v.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok {
			return n
		}
		next, ok := n.in.follow(ref)
		if !ok {
			return node{}
		}
		n = next
	}
	return node{}
}

// get gives a member of an object; references are followed on the way.
func (n node) get(key string) node {
	n = n.resolve()
	m, _ := n.v.(map[string]any)
	v, ok := m[key]
	if !ok {
		return node{}
	}
	return node{v, n.in}
}

// here reports whether there is a value.
func (n node) here() bool { return n.in != nil }

func (n node) text() string {
	s, _ := n.v.(string)
	return s
}

func (n node) yes() bool {
	b, _ := n.v.(bool)
	return b
}

func (n node) object() map[string]any {
	m, _ := n.resolve().v.(map[string]any)
	return m
}

// members lists the members of an object by name.
func (n node) members() (list []member) {
	n = n.resolve()
	m, _ := n.v.(map[string]any)
	for _, k := range sortedKeys(m) {
		list = append(list, member{k, node{m[k], n.in}})
	}
	return list
}

type member struct {
	name string
	node node
}

// elements lists the elements of an array.
func (n node) elements() (list []node) {
	n = n.resolve()
	a, _ := n.v.([]any)
	for _, v := range a {
		list = append(list, node{v, n.in})
	}
	return list
}

// texts lists the strings of an array, or the one string.
func (n node) texts() (list []string) {
	if s, ok := n.v.(string); ok {
		return []string{s}
	}
	for _, e := range n.elements() {
		if s, ok := e.v.(string); ok {
			list = append(list, s)
		}
	}
	return slices.Clip(list)
}

// identity tells objects apart, for walks that must not go in circles.
func (n node) identity() uintptr {
	if m, ok := n.v.(map[string]any); ok && m != nil {
		return reflect.ValueOf(m).Pointer()
	}
	return 0
}
