package report

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"plainsight/analyze"
)

// maxText is the longest text that is shown, in bytes: a paragraph, where
// [analyze.MaxText] is a name.
const maxText = 4096

// shown copies a snapshot as it may be shown: text valid, bounded and without
// characters that act (see [analyze.Clean]), lists and maps never nil, times in
// UTC and within the years that JSON can write, numbers finite, enumerations
// within their names, the worst finding first. It is by type and not by field, so that a field added
// later is covered on its first day; the depth is that of the types.
func shown(s *analyze.Snapshot) *analyze.Snapshot {
	out := new(analyze.Snapshot)
	if s == nil {
		s = out
	}
	show(reflect.ValueOf(out).Elem(), reflect.ValueOf(s).Elem())
	slices.SortStableFunc(out.Findings, func(a, b analyze.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return out
}

func show(to, from reflect.Value) {
	switch v := from.Interface().(type) {
	case time.Time:
		if y := v.UTC().Year(); y < 1 || y > 9999 {
			v = time.Time{}
		}
		to.Set(reflect.ValueOf(v.UTC()))
		return
	case analyze.Severity:
		to.Set(reflect.ValueOf(min(v, analyze.Critical)))
		return
	case analyze.Practice:
		if v <= analyze.Keys {
			to.Set(from)
		}
		return
	}
	switch from.Kind() {
	case reflect.Struct:
		for i := range from.NumField() {
			show(to.Field(i), from.Field(i))
		}
	case reflect.Slice:
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			show(to.Index(i), from.Index(i))
		}
	case reflect.Map: // of counts: names that become equal add up
		to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
		for it := from.MapRange(); it.Next(); {
			key := reflect.New(from.Type().Key()).Elem()
			show(key, it.Key())
			sum := reflect.New(from.Type().Elem()).Elem()
			sum.SetUint(it.Value().Uint())
			if had := to.MapIndex(key); had.IsValid() {
				sum.SetUint(sum.Uint() + had.Uint())
			}
			to.SetMapIndex(key, sum)
		}
	case reflect.String:
		to.SetString(clean(from.String()))
	case reflect.Float64:
		if f := from.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			to.SetFloat(f)
		}
	default:
		to.Set(from)
	}
}

// clean is [analyze.Clean] for texts up to maxText.
func clean(s string) string {
	if plain(s) && len(s) <= maxText {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), analyze.MaxText)
		for i := n; n < len(s) && i > n-utf8.UTFMax; i-- {
			if utf8.RuneStart(s[i]) { // do not part a character
				n = i
				break
			}
		}
		b.WriteString(analyze.Clean([]byte(s[:n])))
		if s = s[n:]; b.Len() > maxText && s != "" {
			b.WriteString("…")
			break
		}
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
