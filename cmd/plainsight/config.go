package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"plainsight/analyze"
)

// config is plainsight.yaml.
type config struct {
	Mutes []mute         `yaml:"mutes"`
	Watch map[string]any `yaml:"watch"` // flags of watch, by their names
}

// configText reads the configuration. Without a name it is ./plainsight.yaml, which
// need not be there: then text is nil.
func configText(name string) (file string, text []byte, err error) {
	if name == "" {
		if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
			return "", nil, nil
		}
		name = defaultConfig
	}
	text, err = readSmall(name, maxConfig)
	return name, text, err
}

// parseConfig reads a configuration; an error is said of a line.
func parseConfig(text []byte) (c config, line int, err error) {
	defer func() {
		if recover() != nil { // the decoder fails so on some tags
			c, line, err = config{}, 1, errors.New("no YAML that can be read")
		}
	}()
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		var y yaml.Error
		if !errors.As(err, &y) {
			return config{}, 1, errors.New("no YAML that can be read")
		}
		line = 1
		if t := y.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
		return config{}, line, errors.New(analyze.Clean([]byte(y.GetMessage())))
	}
	return c, 0, nil
}

// lineOf is the line where something begins, by its path in the document.
func lineOf(text []byte, where string) int {
	path, err := yaml.PathString(where)
	if err != nil {
		return 1
	}
	node, err := path.ReadNode(strings.NewReader(string(text)))
	if err != nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 1
	}
	return node.GetToken().Position.Line
}

// watchConfig gives the flags of watch that neither the command line nor the
// environment sets what the section "watch" of the configuration says.
type watchConfig struct {
	file   string
	text   []byte
	values map[string]any
}

// configOf reads the section for the command that args begin with; nil: there is none.
func configOf(args []string) (kong.Resolver, error) {
	if len(args) == 0 || args[0] != "watch" {
		return nil, nil
	}
	name := ""
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			name = value
		} else if arg == "--config" && i+1 < len(args) {
			name = args[i+1]
		}
	}
	file, text, err := configText(name)
	if err != nil || text == nil {
		return nil, err
	}
	c, line, err := parseConfig(text)
	if err != nil {
		return nil, usagef("%s:%d: %w", file, line, err)
	}
	return &watchConfig{file, text, c.Watch}, nil
}

// Validate refuses keys that are no flags of watch, and names the nearest.
func (w *watchConfig) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, command := range app.Children {
		if command.Name == "watch" {
			for _, f := range command.Flags {
				known[f.Name] = true
			}
		}
	}
	delete(known, "config") // that is this file
	for _, key := range slices.Sorted(maps.Keys(w.values)) {
		if known[key] {
			continue
		}
		nearest, distance := "", len(key)
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if d := levenshtein.ComputeDistance(key, name); d < distance {
				nearest, distance = name, d
			}
		}
		hint := "see plainsight watch --help"
		if nearest != "" && distance <= 2+len(key)/4 {
			hint = "did you mean " + nearest + "?"
		}
		return usagef("%s:%d: watch has no %q (%s)", w.file, lineOf(w.text, "$.watch"), analyze.Clean([]byte(key)), hint)
	}
	return nil
}

// Resolve gives the value of a flag; nil: the configuration has none.
func (w *watchConfig) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := w.values[flag.Name]
	if !ok || parent.Command == nil || parent.Command.Name != "watch" {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	switch v := value.(type) {
	case []any:
		var parts []string
		for _, p := range v {
			parts = append(parts, fmt.Sprint(p))
		}
		return strings.Join(parts, ","), nil
	case map[string]any, nil:
		return nil, usagef("%s: %s: want a value or a list", w.file, flag.Name)
	default:
		return fmt.Sprint(v), nil
	}
}
