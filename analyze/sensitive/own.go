package sensitive

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"plainsight/analyze"
)

// Rules are detectors that a user wrote. They look where the detectors of the
// table have looked: at values under a name they know, or at values that hold a
// text they cannot do without. They are read-only and may be shared.
type Rules struct {
	own     []ownRule
	phrases map[string]uint64 // of names, to the rules by bit
	free    uint64            // rules that look under any name
}

type ownRule struct {
	detector Detector
	pattern  *regexp.Regexp
	literal  []byte // in every match; nil for rules with names
	valid    func(*candidate) bool
}

// Bounds of rules, which keep what a value can cost in proportion.
const (
	maxRules   = 64
	maxPattern = 1000     // bytes
	maxOwnText = 64 << 10 // bytes of a value that rules look at
	maxMatches = 8        // of one rule in one value
	minLiteral = 3        // bytes that a rule without names must ask for
)

// validators are what a rule may ask of a match beside its pattern.
var validators = map[string]func(*candidate) bool{
	"luhn":     func(c *candidate) bool { return len(c.compact) > 1 && c.digits == c.n && luhn(c.compact) },
	"verhoeff": func(c *candidate) bool { return len(c.compact) > 1 && c.digits == c.n && verhoeff(c.compact) },
	"mod97":    func(c *candidate) bool { return c.high == 0 && len(c.compact) > 4 && mod97(c.compact) == 1 }, // ISO 7064, as in IBAN
	"random":   func(c *candidate) bool { return len(c.text) >= 8 && varied(c.text) && !placeholder(c.text) },
}

// A RuleError says what is wrong with a file of rules, and on which line.
type RuleError struct {
	Line   int
	Reason string
}

func (e *RuleError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// ParseRules reads rules in YAML:
//
//	rules:
//	  - id: acme_customer
//	    title: ACME customer number
//	    pattern: 'AC-[0-9]{8}'       # RE2
//	    keys: [customer number]      # names it stands under; without them it is looked for everywhere
//	    validator: luhn              # luhn, verhoeff, mod97, random
//	    severity: high               # info, low, medium, high, critical
//	    category: pii                # pii, pci, phi, financial, location, credential, secret
//
// The error of a file that is wrong is a [*RuleError].
func ParseRules(text []byte) (*Rules, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, &RuleError{1, "no rules (begin with rules:)"}
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return nil, &RuleError{lineOf(file.Docs[0].Body), "want rules: and a list below it"}
	}
	var list *ast.SequenceNode
	for _, v := range root.Values {
		if name := v.Key.String(); name != "rules" {
			return nil, &RuleError{lineOf(v.Key), fmt.Sprintf("unknown setting %q (there is rules)", analyze.Clean([]byte(name)))}
		}
		if list, ok = v.Value.(*ast.SequenceNode); !ok {
			return nil, &RuleError{lineOf(v.Key), "rules is not a list"}
		}
	}
	if list == nil || len(list.Values) == 0 {
		return nil, &RuleError{1, "no rules"}
	}
	if len(list.Values) > maxRules {
		return nil, &RuleError{lineOf(list.Values[maxRules]), fmt.Sprintf("more than %d rules", maxRules)}
	}
	r := &Rules{phrases: map[string]uint64{}}
	for _, node := range list.Values {
		if err := r.add(node); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// add compiles one rule.
func (r *Rules) add(node ast.Node) error {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		if one, is := node.(*ast.MappingValueNode); is {
			m = &ast.MappingNode{BaseNode: one.BaseNode, Start: one.Start, Values: []*ast.MappingValueNode{one}}
		} else {
			return &RuleError{lineOf(node), "a rule is id:, pattern: and so on"}
		}
	}
	line := lineOf(node)
	if len(m.Values) > 0 {
		line = lineOf(m.Values[0].Key)
	}
	rule := ownRule{detector: Detector{Category: Personal, Profile: Own, Grade: analyze.Medium, Alone: true, Shape: Shape{Whole: true}}}
	d := &rule.detector
	var keys []string
	for _, v := range m.Values {
		name := v.Key.String()
		wrong := func(format string, args ...any) error {
			return &RuleError{lineOf(v.Key), name + ": " + fmt.Sprintf(format, args...)}
		}
		if name == "keys" {
			list, is := v.Value.(*ast.SequenceNode)
			for i := 0; is && i < len(list.Values); i++ {
				var key string
				key, is = scalar(list.Values[i])
				keys = append(keys, key)
			}
			if !is || len(keys) == 0 {
				return wrong("want a list of names, as [customer number, kundennummer]")
			}
			continue
		}
		text, is := scalar(v.Value)
		if !is {
			return wrong("want a text")
		}
		switch name {
		case "id":
			if d.ID = text; !identifier(text) {
				return wrong("want lower-case letters, digits and _, beginning with a letter")
			}
			for i := range Detectors {
				if Detectors[i].ID == text {
					return wrong("%s is a kind that plainsight has (plainsight rules --sensitive lists them)", text)
				}
			}
			for i := range r.own {
				if r.own[i].detector.ID == text {
					return wrong("%s is there twice", text)
				}
			}
		case "title":
			d.Title = analyze.Clean([]byte(text))
		case "pattern":
			if len(text) > maxPattern {
				return wrong("longer than %d bytes", maxPattern)
			}
			p, err := regexp.Compile(text)
			if err != nil {
				var se *syntax.Error
				if errors.As(err, &se) {
					return wrong("%s: %s", se.Code, analyze.Clean([]byte(se.Expr)))
				}
				return wrong("no regular expression of RE2")
			}
			if p.MatchString("") {
				return wrong("matches the empty text")
			}
			rule.pattern = p
			if tree, err := syntax.Parse(text, syntax.Perl); err == nil {
				rule.literal = []byte(literal(tree))
			}
		case "validator":
			if rule.valid, ok = validators[text]; !ok {
				return wrong("%s is none (there are luhn, verhoeff, mod97, random)", analyze.Clean([]byte(text)))
			}
		case "severity":
			if d.Grade, ok = analyze.ParseSeverity(text); !ok {
				return wrong("want info, low, medium, high or critical")
			}
		case "category":
			switch d.Category = Category(text); d.Category {
			case Personal, Location, Card, Financial, Health, Credential, Secret:
			default:
				return wrong("want pii, pci, phi, financial, location, credential or secret")
			}
		default:
			return &RuleError{lineOf(v.Key), fmt.Sprintf("unknown setting %q (there are id, title, pattern, keys, validator, severity, category)", analyze.Clean([]byte(name)))}
		}
	}
	switch {
	case d.ID == "":
		return &RuleError{line, "a rule without id"}
	case rule.pattern == nil:
		return &RuleError{line, d.ID + ": a rule without pattern"}
	case len(keys) == 0 && len(rule.literal) < minLiteral:
		return &RuleError{line, fmt.Sprintf("%s: without keys, the pattern needs a fixed text of at least %d characters, or it would run over everything", d.ID, minLiteral)}
	}
	if d.Title == "" {
		d.Title = strings.ReplaceAll(d.ID, "_", " ")
	}
	bit := uint64(1) << len(r.own)
	if len(keys) == 0 {
		r.free |= bit
	} else {
		rule.literal = nil
	}
	var w words
	for _, k := range keys {
		w.split([]byte(k))
		if w.n == 0 || w.n > maxPhrase {
			return &RuleError{line, fmt.Sprintf("%s: keys: want names of one to %d words", d.ID, maxPhrase)}
		}
		r.phrases[string(w.join(0, w.n))] |= bit
	}
	r.own = append(r.own, rule)
	return nil
}

// literal is the longest text that every match of a pattern holds as it is.
func literal(p *syntax.Regexp) (best string) {
	switch p.Op {
	case syntax.OpLiteral:
		if p.Flags&syntax.FoldCase == 0 {
			return string(p.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literal(p.Sub[0])
	case syntax.OpRepeat:
		if p.Min > 0 {
			return literal(p.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range p.Sub {
			if l := literal(sub); len(l) > len(best) {
				best = l
			}
		}
	}
	return best
}

func identifier(s string) bool {
	for i, c := range []byte(s) {
		if kinds[c]&isLower == 0 && (i == 0 || kinds[c]&isDigit == 0 && c != '_') {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}

// scalar is the text of a node. Neither aliases nor tags are followed.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// yamlError gives the line of a file that is no YAML, without the file's text.
func yamlError(err error) error {
	var se *yaml.SyntaxError
	if errors.As(err, &se) && se.Token != nil && se.Token.Position != nil {
		return &RuleError{se.Token.Position.Line, "no YAML: " + analyze.Clean([]byte(se.Message))}
	}
	return &RuleError{1, "no YAML"}
}

// named tells the rules that know a name, by bit.
func (r *Rules) named(name []byte) (all uint64) {
	if r == nil || len(r.phrases) == 0 {
		return 0
	}
	var w words
	w.split(name)
	for end := w.n; end > 0; end-- {
		for start := max(0, end-maxPhrase); start < end; start++ {
			all |= r.phrases[string(w.join(start, end))]
		}
		if last := w.word(end - 1); all != 0 || !tail[string(last)] && !digits(last) {
			break
		}
	}
	return all
}

// own reports what the rules of the user find in a value.
func (s *Scanner) own(w *where, named uint64, text []byte) {
	r := s.options.Rules
	if len(text) > maxOwnText {
		text = text[:maxOwnText]
	}
	for left := named | r.free; left != 0; left &= left - 1 {
		rule := &r.own[bits.TrailingZeros64(left)]
		if rule.literal != nil && !bytes.Contains(text, rule.literal) {
			continue
		}
		for _, at := range rule.pattern.FindAllIndex(text, maxMatches) {
			found := text[at[0]:at[1]]
			s.finder.c.cut(found)
			s.finder.c.named, s.finder.c.whole, s.finder.c.number = true, len(found) == len(text), false
			if len(found) > 0 && (rule.valid == nil || rule.valid(&s.finder.c)) {
				s.report(w, &rule.detector, found, 0.9)
			}
		}
	}
}
