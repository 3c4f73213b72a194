package body

import "strconv"

// Tracker follows a walk and says where in the body it is. A visitor holds one,
// passes it each call first, and asks when it wants to know. Following costs no
// allocation once warm; the zero value is ready, and ready again after a walk. It
// holds the names themselves, which live as long as the walk.
type Tracker struct {
	frames []frame
}

type frame struct {
	array bool
	named bool   // an object with a key
	index int    // of the element, -1 before the first
	name  []byte // of the last key
}

// Begin follows the start of a container, which becomes the current value.
func (t *Tracker) Begin(k Kind) {
	t.step()
	t.frames = append(t.frames, frame{array: k == Array, index: -1})
}

// Key follows a name; its value becomes the current one.
func (t *Tracker) Key(name []byte) {
	if n := len(t.frames); n > 0 {
		f := &t.frames[n-1]
		f.named, f.name = true, name
	}
}

// Value follows a leaf, which becomes the current value.
func (t *Tracker) Value() { t.step() }

// End follows the end of a container, which becomes the current value.
func (t *Tracker) End() {
	if n := len(t.frames); n > 0 {
		t.frames = t.frames[:n-1]
	}
}

// Reset forgets where it is.
func (t *Tracker) Reset() { t.frames = t.frames[:0] }

func (t *Tracker) step() {
	if n := len(t.frames); n > 0 && t.frames[n-1].array {
		t.frames[n-1].index++
	}
}

// Depth is the number of open containers.
func (t *Tracker) Depth() int { return len(t.frames) }

// Name is the nearest key above the current value: its own, or that of the
// array it is in. It is nil where there is none.
func (t *Tracker) Name() []byte {
	for i := len(t.frames) - 1; i >= 0; i-- {
		if t.frames[i].named {
			return t.frames[i].name
		}
	}
	return nil
}

// Parent is the nearest key above the one that Name returns, or nil.
func (t *Tracker) Parent() []byte {
	seen := false
	for i := len(t.frames) - 1; i >= 0; i-- {
		if t.frames[i].named {
			if seen {
				return t.frames[i].name
			}
			seen = true
		}
	}
	return nil
}

// AppendPointer appends the JSON pointer (RFC 6901) of the current value, as in
// /customer/cards/0/number. It holds names as they were captured.
func (t *Tracker) AppendPointer(to []byte) []byte {
	for i := range t.frames {
		f := &t.frames[i]
		switch {
		case f.array && f.index >= 0:
			to = strconv.AppendInt(append(to, '/'), int64(f.index), 10)
		case f.named:
			to = append(to, '/')
			for _, c := range t.frames[i].name {
				switch c {
				case '~':
					to = append(to, "~0"...)
				case '/':
					to = append(to, "~1"...)
				default:
					to = append(to, c)
				}
			}
		}
	}
	return to
}

// AppendPath appends the generalised path of the current value, as in
// $.customer.cards[].number. Names that are values ([FreeKey]) are written {*},
// so that a path can be kept; see [AppendName] for the others.
func (t *Tracker) AppendPath(to []byte) []byte {
	to = append(to, '$')
	for i := range t.frames {
		f := &t.frames[i]
		switch {
		case f.array && f.index >= 0:
			to = append(to, "[]"...)
		case f.named:
			name := t.frames[i].name
			if FreeKey(name) {
				to = append(to, "{*}"...)
			} else {
				to = AppendName(append(to, '.'), name)
			}
		}
	}
	return to
}

// AppendName appends a name as generalised paths have it: %, ., [ and { are
// percent-encoded.
func AppendName(to, name []byte) []byte {
	for _, c := range name {
		switch c {
		case '%', '.', '[', '{':
			const digits = "0123456789ABCDEF"
			to = append(to, '%', digits[c>>4], digits[c&15])
		default:
			to = append(to, c)
		}
	}
	return to
}

// FreeKey reports whether a name of an object is itself a value (a number, a
// UUID, an address, a token), so that the object is a map and the name must not
// be kept.
func FreeKey(name []byte) bool {
	if len(name) == 0 || len(name) > 64 {
		return len(name) > 64
	}
	digits, hex, upper, lower, marks := 0, 0, 0, 0, 0
	for _, c := range name {
		switch {
		case '0' <= c && c <= '9':
			digits++
			hex++
		case 'a' <= c && c <= 'z':
			lower++
			if c <= 'f' {
				hex++
			}
		case 'A' <= c && c <= 'Z':
			upper++
			if c <= 'F' {
				hex++
			}
		case c == '@':
			if upper+lower+digits > 0 {
				return true
			}
		default:
			marks++
		}
	}
	n := len(name)
	switch {
	case digits == n:
		return true
	case digits+marks == n && digits >= 4: // dates, telephone numbers, addresses
		return true
	case hex+marks == n && digits >= 1 && n >= 12 && marks <= 8: // digests, UUIDs, MACs
		return true
	case digits >= 8:
		return true
	case n >= 16 && digits >= 2 && upper >= 3 && lower >= 3: // tokens
		return true
	case n >= 8 && marks == 0 && upper >= 2 && lower >= 2:
		return jumbled(name, digits > 0)
	}
	return false
}

// jumbled reports whether capitals (and digits) are strewn over a name as they
// are in no camelCase: many words, of less than three letters each.
func jumbled(name []byte, digits bool) bool {
	words, letters := CamelWords(name)
	return words >= 4 && letters*10 <= words*28 || digits && words >= 3 && letters < words*3
}

// CamelWords counts the words of a name in camelCase and their letters.
func CamelWords(name []byte) (words, letters int) {
	for i, c := range name {
		up := 'A' <= c && c <= 'Z'
		if !up && (c < 'a' || c > 'z') {
			continue
		}
		letters++
		before, after := byte('A'), byte('A')
		if i > 0 {
			before = name[i-1]
		}
		if i+1 < len(name) {
			after = name[i+1]
		}
		if i == 0 || before < 'A' || up && (before >= 'a' || after >= 'a') {
			words++
		}
	}
	return words, letters
}
