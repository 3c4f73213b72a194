// Package drift compares what was seen with what is documented: it loads
// OpenAPI 3.x and Swagger 2.0 documents, finds out which of them describes
// which service and where its paths hang, and reports the rows of the catalogue
// on documents (doc.*) as findings: operations, parameters, fields, statuses
// and credentials that one side has and the other has not.
//
// It looks at an [analyze.Snapshot] alone, so that it works on a capture as on
// a store, and it never sees a captured value. Documents are input from
// strangers too: their size is bounded, references are followed lazily and in
// files below the document's own directory only, and nothing is ever fetched.
// The drift command calls it; [Rules] documents the rows.
package drift

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"plainsight/analyze"
)

// Limits bound the documents of one run. The zero value has the defaults.
type Limits struct {
	File  int64 // bytes of one file. 0: 64 MiB
	All   int64 // bytes of all files. 0: 1 GiB
	Files int   // documents and files that they refer to. 0: 10,000
}

func (l Limits) withDefaults() Limits {
	l.File = cmp.Or(l.File, 64<<20)
	l.All = cmp.Or(l.All, 1<<30)
	l.Files = cmp.Or(l.Files, 10_000)
	return l
}

// Documents are what is promised. They are read only once loaded.
type Documents struct {
	list []*document
	// Unresolved counts references that lead nowhere or to other hosts, which are
	// not asked. What they describe is taken as anything.
	Unresolved int
}

// Len is the number of documents.
func (d *Documents) Len() int { return len(d.list) }

// Operations is the number of operations in all documents.
func (d *Documents) Operations() (n int) {
	for _, doc := range d.list {
		n += len(doc.operations)
	}
	return n
}

// Error is a fault of a document. It names the file and the place in it.
type Error struct {
	File  string // as the caller named it
	Place string // a line, or a JSON pointer
	Err   error
}

func (e *Error) Error() string {
	if e.Place == "" {
		return e.File + ": " + e.Err.Error()
	}
	return e.File + ": " + e.Place + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Load reads documents: files, or directories, of which each JSON and YAML file
// that says it is one is taken. References lead to files below the directory
// that is named, or that the named file is in. The error is an [*Error] where a
// document is at fault.
func Load(names []string, limits Limits) (*Documents, error) {
	l := &loader{limits: limits.withDefaults()}
	d := new(Documents)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		dir, files := filepath.Dir(name), []string{filepath.Base(name)}
		if info.IsDir() {
			if dir, files, err = name, nil, nil; err != nil {
				return nil, err
			}
			if files, err = l.candidates(name); err != nil {
				return nil, err
			}
		}
		if err := l.directory(dir, files, info.IsDir(), d); err != nil {
			return nil, err
		}
		if info.IsDir() && len(d.list) == 0 {
			return nil, &Error{File: name, Err: errors.New("no OpenAPI or Swagger document is in this directory")}
		}
	}
	return d, nil
}

// candidates lists the files of a directory that may be documents, in order.
func (l *loader) candidates(dir string) (files []string, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules"):
			return fs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		switch strings.ToLower(path.Ext(name)) {
		case ".json", ".yaml", ".yml":
			files = append(files, name)
		}
		if len(files) > l.limits.Files {
			return &Error{File: dir, Err: fmt.Errorf("more than %d files", l.limits.Files)}
		}
		return nil
	})
	return files, err
}

// directory loads files of one directory, whose references stay below it.
func (l *loader) directory(dir string, files []string, search bool, d *Documents) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := &tree{root: root, dir: dir, files: map[string]*source{}}
	for _, name := range files {
		s, err := l.source(t, filepath.ToSlash(name), search)
		if err != nil {
			return err
		}
		if s == nil || search && !s.isDocument() {
			continue
		}
		doc, err := read(s)
		if err != nil {
			return err
		}
		d.list = append(d.list, doc)
	}
	d.Unresolved += l.dangling(t)
	return nil
}

// Severities that a place's names raise; see the catalogue.
var privileged = map[string]bool{"role": true, "roles": true, "admin": true, "debug": true, "sudo": true, "root": true, "superuser": true,
	"privilege": true, "privileges": true, "permission": true, "permissions": true, "impersonate": true, "bypass": true, "is": true}

// privilege reports whether a name looks like one that gives rights.
func privilege(name string) bool {
	words := wordsOf(name)
	for i, w := range words {
		if privileged[w] && (w != "is" || i == 0 && len(words) > 1) {
			return true
		}
	}
	return false
}

// wordsOf cuts a name at marks and humps.
func wordsOf(name string) (words []string) {
	start := 0
	add := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(name[start:end]))
		}
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '_' || c == '-' || c == '.' || c == ' ' || c == '[' || c == ']':
			add(i)
			start = i + 1
		case 'A' <= c && c <= 'Z' && i > 0 && 'a' <= name[i-1] && name[i-1] <= 'z':
			add(i)
			start = i
		}
	}
	add(len(name))
	return words
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// label is how a document is named to people: its path below the directory that
// was named, which is the same on any machine.
func (d *document) label() string { return analyze.Clean([]byte(d.source.path)) }
