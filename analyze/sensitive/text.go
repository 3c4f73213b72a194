package sensitive

import (
	"bytes"
	"math/bits"
	"strings"
)

func trailing(x uint64) int { return bits.TrailingZeros64(x) }

func wordsOf(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range bytes.Fields([]byte(list)) {
		m[string(w)] = true
	}
	return m
}

// scripted reports whether a text is a script or a page: they speak of passwords
// all the time and tell none.
func scripted(text []byte, sum uint32) bool {
	return len(text) > 1000 && sum&(signLess|signBrace) != 0
}

// sayings is words for a text without digits, capitals and dashes, in which
// nothing else can be.
func (f *finder) sayings(text []byte, from int, sum uint32, cl *class) {
	if scripted(text, sum) {
		return
	}
	joined := 0
	for i := from; i < len(text); {
		if kinds[text[i]]&isLower == 0 {
			i++
			continue
		}
		start := i
		for i < len(text) && kinds[text[i]]&isLower != 0 {
			i++
		}
		if n := i - start; n > 12 || sayingLengths[text[start]&31]>>n&1 == 0 || start < joined || start > from && text[start-1] >= 0x80 || f.covered(start) {
			continue
		}
		if end := f.saying(text, from, start, i, cl); end > 0 {
			i, joined = end, end
		}
	}
}

// words walks the words of a text: tokens of known makers by their beginnings,
// and pieces with digits by their shape and by the words before them.
func (f *finder) words(text []byte, from int, sum uint32, cl *class) {
	prose := sum&signBlank != 0 // there may be words before a value
	code := scripted(text, sum)
	joined := 0 // pieces end here; what is inside one is not judged again
	for i := from; i < len(text); {
		b := text[i]
		k := kinds[b]
		if k&(isDigit|isUpper|isLower) == 0 {
			if b == '+' && i+1 < len(text) && kinds[text[i+1]]&isDigit != 0 && i >= joined && !f.covered(i) && !(code && i > from && !opening(text[i-1])) {
				i = f.plus(text, from, i, cl)
				continue
			}
			i++
			continue
		}
		start := i
		all := uint8(0) // kinds in the word
		for i < len(text) && kinds[text[i]]&(isDigit|isUpper|isLower) != 0 {
			all |= kinds[text[i]]
			i++
		}
		if start > from && (text[start-1] >= 0x80 && kinds[b]&isDigit == 0) {
			continue // inside a word of another script
		}
		if len(f.found) > 0 && f.covered(start) {
			continue
		}
		if ps := prefixes[b&127]; ps != nil && start >= f.noToken {
			if end := f.maker(text, start, ps, cl); end > 0 {
				i = end
				joined = end
				continue
			}
		}
		if b == 'e' && len(text)-start > 30 && text[start+1] == 'y' && start >= f.noToken {
			// JSON Web Tokens begin with {" in base64.
			n, read := jwtLength(text[start:])
			if n > 0 {
				f.add(rows.jwt, start, start+n, 0.99)
				i, joined = start+n, start+n
				continue
			}
			if read > 1024 {
				f.noToken = start + read
			}
		}
		if start < joined {
			continue
		}
		word := text[start:i]
		if prose && k&isDigit == 0 {
			if len(word) >= 2 && len(word) <= 12 && !code {
				if end := f.saying(text, from, start, i, cl); end > 0 {
					i, joined = end, end
					continue
				}
			}
			if (len(word) == 8 || len(word) == 11) && kinds[word[len(word)-1]]&isUpper != 0 && kinds[b]&isUpper != 0 {
				f.piece(text, from, start, i, cl)
				continue
			}
		}
		if all&isDigit == 0 {
			// Letters joined to digits by a dash or the like: AB-12-34, RV 006.
			if i+1 >= len(text) || text[i] != '-' || len(word) > 6 || kinds[text[i+1]]&isDigit == 0 && !(len(word) == 2 && hexes(word)) {
				continue
			}
		}
		if f.covered(start) {
			continue
		}
		if len(word) >= 4 && kinds[word[2]]&kinds[word[3]]&isDigit != 0 && kinds[word[0]]&kinds[word[1]]&isUpper != 0 {
			if end := ibanEnd(text, start); end > 0 && f.piece(text, from, start, end, cl) {
				i, joined = end, end
				continue
			}
		}
		if n := i - start; k&isDigit != 0 && 4 <= n && n <= 8 && i+12 < len(text) && text[i] == ' ' && digits(word) && givesCode(text[i:]) {
			f.add(rows.otp, start, i, 0.9)
			continue
		}
		end, first := extent(text, start, i)
		joined = end
		if end-start > 64 || end < len(text) && text[end] == '@' {
			continue
		}
		if start > from && (text[start-1] == '_' || text[start-1] == '@' || text[start-1] == '#' && end-start < 9) || end < len(text) && text[end] == '_' {
			continue
		}
		if f.piece(text, from, start, end, cl) {
			i = end
		} else if first < end && f.piece(text, from, start, first, cl) {
			i = first
		}
	}
}

// givesCode reports whether what follows digits says that they are a code for the
// reader: "482913 is your code", "… es tu código".
func givesCode(rest []byte) bool {
	yours := false
	for _, s := range [...]string{" is your ", " as your ", " ist Ihr ", " ist dein ", " als ", " es tu ", " es su ", " est votre ", " est ton ", " \xc3\xa8 il tuo ", " \xc3\xa9 o seu ", " is uw ", " is je ", " to Tw"} {
		yours = yours || hasPrefix(rest, s)
	}
	if !yours {
		return false
	}
	rest = rest[:min(len(rest), 60)]
	for _, s := range [...]string{"code", "Code", "OTP", "password", "passcode", "c\xc3\xb3digo", "codice", "kod"} {
		if bytes.Contains(rest, []byte(s)) {
			return true
		}
	}
	return false
}

// opening tells marks before a value from operators.
func opening(c byte) bool {
	return c == ' ' || c == '"' || c == '\'' || c == ':' || c == '>' || c == '\n' || c == '\t'
}

// extent tells how far a piece goes from its first word, text[start:i]: over
// single marks between letters and digits, and over blanks between groups of
// digits. first is where it would end without blanks.
func extent(text []byte, start, i int) (end, first int) {
	first = -1
	bare := digits(text[start:i])
	for i+1 < len(text) && i-start <= 80 {
		next := kinds[text[i+1]]
		if next&(isDigit|isUpper|isLower) == 0 && text[i] != ')' {
			break
		}
		last := kinds[text[i-1]]
		switch text[i] {
		case '-', '+':
		case ')': // (713) 485-1274
			if start == 0 || text[start-1] != '(' || !bare || i-start > 5 {
				goto done
			}
			if text[i+1] == ' ' && i+2 < len(text) {
				next = kinds[text[i+2]]
				if next&isDigit == 0 {
					goto done
				}
				i++
			}
			if next&isDigit == 0 {
				goto done
			}
		case '.', '/':
			if last&isDigit == 0 || next&isDigit == 0 {
				goto done
			}
		case ' ':
			if !bare || last&isDigit == 0 || next&isDigit == 0 {
				goto done
			}
			if first < 0 {
				first = i
			}
		default:
			goto done
		}
		i++
		for i < len(text) && kinds[text[i]]&(isDigit|isUpper|isLower) != 0 {
			i++
		}
	}
done:
	if first < 0 {
		first = i
	}
	return i, first
}

// ibanEnd is where an IBAN that begins at start ends: its country says how long
// it is, whatever the groups. It is 0 where it does not fit.
func ibanEnd(text []byte, start int) int {
	left := ibanLength[string(text[start:start+2])]
	if left == 0 {
		return 0
	}
	i := start
	for ; left > 0 && i < len(text); i++ {
		switch c := text[i]; {
		case kinds[c]&(isDigit|isUpper|isLower) != 0:
			left--
		case (c == ' ' || c == '-') && kinds[text[i-1]]&(isDigit|isUpper|isLower) != 0:
		default:
			return 0
		}
	}
	if left > 0 || i < len(text) && kinds[text[i]]&isToken != 0 {
		return 0
	}
	return i
}

// maker recognises a token of a known maker by its prefix.
func (f *finder) maker(text []byte, start int, ps []prefix, cl *class) int {
	for k := range ps {
		p := &ps[k]
		rest := text[start:]
		if len(rest) < p.least || rest[1] != p.text[1] || string(rest[:len(p.text)]) != p.text {
			continue
		}
		if start > 0 && (kinds[text[start-1]]&isToken != 0) {
			// _AKIA…, -ghp_…: the middle of something else.
			if text[start-1] != '-' && text[start-1] != '_' || len(p.text) < 4 {
				continue
			}
		}
		d := &Detectors[p.detector]
		end := start + len(p.text)
		most := d.Shape.Max + d.Shape.Max/4 + 16
		for end < len(text) && (kinds[text[end]]&isToken != 0 || d.Extra != "" && strings.IndexByte(d.Extra, text[end]) >= 0) && end-start < most {
			end++
		}
		if end-start == most {
			f.noToken = end
			return 0
		}
		for end > start && (text[end-1] == '.' || text[end-1] == '-' && end < len(text)) {
			end-- // the end of a sentence
		}
		if end-start < d.Shape.Min {
			continue
		}
		c := &f.c
		c.cut(text[start:end])
		c.whole, c.named, c.number, c.year = false, false, false, f.year
		if !d.Shape.fits(c) || d.Check != nil && !d.Check(c) || !varied(c.text[len(p.text):]) || c.digits == 0 && c.upper == 0 {
			continue
		}
		if p.text == "SK" && cl.flags&ident != 0 {
			continue
		}
		f.add(p.detector, start, end, 0.98)
		return end
	}
	return 0
}

// plus judges a telephone number that begins with +.
func (f *finder) plus(text []byte, from, i int, cl *class) int {
	start := i
	i++
	n := 0
	end := i
	for i < len(text) && n <= 16 {
		c := text[i]
		switch {
		case kinds[c]&isDigit != 0:
			n++
			end = i + 1
		case c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/':
			if i+1 < len(text) && i-end > 1 {
				n += 100
			}
		default:
			goto done
		}
		i++
	}
done:
	if n > 100 {
		n -= 100
	}
	if start > from && (kinds[text[start-1]]&(isToken|isHigh) != 0 || text[start-1] == '=' && n < 10) || end < len(text) && kinds[text[end]]&(isUpper|isLower) != 0 || n < 8 || n > 15 {
		return max(end, start+1)
	}
	c := &f.c
	c.cut(text[start:end])
	c.whole, c.named, c.number, c.year = false, false, false, f.year
	if phone(c) && c.groups <= 6 && cl.flags&(public|version) == 0 && country(c.compact) {
		f.add(rows.phone, start, end, 0.95)
	}
	return end
}

// country reports whether digits begin with a calling code (ITU-T E.164) and
// are not too few for it.
func country(d []byte) bool {
	switch d[0] {
	case '1':
		return len(d) == 11 && d[1] >= '2'
	case '7':
		return len(d) == 11
	case '0':
		return false
	}
	switch num(d[:2]) {
	case 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98:
		return true
	}
	switch num(d[:3]) / 10 {
	case 21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99:
		return true
	}
	return false
}

// shortest is how many bytes a piece has at least that nothing before it names.
const shortest = 7 // 1.2.3.4

// unled reports whether what ends with c is no name for what follows.
func unled(c byte) bool {
	return c == '/' || c == ',' || c == '&' || kinds[c]&isToken != 0
}

// piece judges text[start:end]: by the words before it, or, where it is the
// whole value, by the rows that need no name.
func (f *finder) piece(text []byte, from, start, end int, cl *class) bool {
	if n := end - start; n < 3 || n < shortest && (start == from || unled(text[start-1])) {
		return false
	}
	c := &f.c
	c.cut(text[start:end])
	c.whole = start == from && end == len(text)
	c.named, c.number, c.year = false, false, f.year
	ctx, say := *cl, false
	if !c.whole && c.compact != nil {
		if ctx, say = f.before(text, from, start); say {
			h := set{ctx.hints[0] & pieces[0], ctx.hints[1] & pieces[1]}
			c.named = true
			for w := range h {
				for b := h[w]; b != 0; b &= b - 1 {
					i := w<<6 + trailing(b)
					if d := &Detectors[i]; d.Shape.fits(c) && d.Check(c) {
						f.add(i, start, end, 0.9)
						return true
					}
				}
			}
			c.named = false
		} else if start == from {
			ctx = *cl
		} else {
			ctx.flags = cl.flags &^ ident
		}
	}
	if c.n >= len(alone) || c.compact == nil {
		return false
	}
	if start > from && text[start-1] == '.' || end < len(text)-1 && text[end] == '.' && kinds[text[end+1]]&isToken != 0 {
		return false
	}
	// Shapes that need no name, unless the name is that of something else.
	flags := ctx.flags
	for _, i := range alone[c.n] {
		d := &Detectors[i]
		if !d.Shape.fits(c) {
			continue
		}
		if flags&(ident|public|version) != 0 && !secrets.has(i) && !cl.hints.has(i) && i != rows.iban {
			if flags&(public|version) != 0 || d.Shape.AllDigits || weakAlone.has(i) || c.digits >= 9 || i == rows.eth {
				continue
			}
		}
		if weakAlone.has(i) && !cl.hints.has(i) {
			if c.whole && !cl.blank && c.groups == 1 || !c.whole && !say && c.groups == 1 && !cl.blank {
				continue
			}
			if c.upper > 0 && c.lower > 0 || say && c.groups == 1 && !ctx.hints.has(i) && !paying(text, start, end) {
				continue
			}
		}
		if d.Check(c) {
			f.add(i, start, end, 0.95)
			return true
		}
	}
	if c.groups == 4 && c.seps == dotSep && c.digits == c.n && c.n <= 12 {
		return f.ipv4(text, from, start, end, cl, &ctx, say)
	}
	if c.n == 12 && c.groups == 6 && c.seps == dashSep && end-start == 17 && mac(text[start:end]) && flags&public == 0 {
		f.add(rows.mac, start, end, 0.95)
		return true
	}
	if c.n == 45 || c.groups == 2 || end < len(text) && text[end] == ':' {
		return f.telegram(text, start, end)
	}
	return false
}

// paying reports whether a text speaks of cards near a long number: without
// that it is rather the number of a parcel.
func paying(text []byte, start, end int) bool {
	near := text[max(0, start-64):min(len(text), end+64)]
	for i := range near {
		if kinds[near[i]]&(isUpper|isLower) == 0 || i > 0 && kinds[near[i-1]]&(isUpper|isLower) != 0 {
			continue
		}
		rest := near[i:]
		for _, w := range [...]string{"card", "visa", "master", "amex", "charg", "pay", "paid", "credit", "debit", "cvv", "cvc", "chassis", "vin", "vehicle", "car ", "kart", "tarjeta", "carta", "cart"} {
			if len(rest) >= len(w) && equalFold(rest[:len(w)], w) {
				return true
			}
		}
	}
	return false
}

// ipv4 judges four numbers between dots: a version, a section or an object id
// looks like an address.
func (f *finder) ipv4(text []byte, from, start, end int, cl, ctx *class, say bool) bool {
	c := &f.c
	at := 0
	var o [4]int
	for i := range o {
		n := int(c.lens[i])
		if n > 3 || n > 1 && c.compact[at] == '0' {
			return false
		}
		o[i] = num(c.compact[at : at+n])
		at += n
		if o[i] > 255 {
			return false
		}
	}
	if o[0] == 0 || o[0] == 127 || o[0] >= 224 || o == [4]int{169, 254, 169, 254} {
		return false
	}
	if cl.flags&(version|public) != 0 && !cl.hints.has(rows.ip) || ctx.flags&version != 0 && !ctx.hints.has(rows.ip) || start > from && (text[start-1] == '/' || text[start-1] == 'v' || text[start-1] == '-') {
		return false
	}
	if end < len(text) && (text[end] == '/' && !subnet(text[end+1:]) || kinds[text[end]]&isToken != 0) {
		return false
	}
	if c.whole && !cl.hints.has(rows.ip) && cl.flags&ident != 0 {
		return false
	}
	if o[0] < 40 && o[0] != 10 && !cl.hints.has(rows.ip) && !ctx.hints.has(rows.ip) {
		// 5.3.2.1 is more often the number of a section, 15.0.0.167 of a release.
		if !cl.blank || o[1] < 30 && o[2] < 30 && o[3] < 30 {
			return false
		}
	}
	f.add(rows.ip, start, end, 0.9)
	return true
}

func subnet(b []byte) bool { return len(b) > 0 && kinds[b[0]]&isDigit != 0 }

// telegram: an id, a colon, 35 characters that begin with AA.
func (f *finder) telegram(text []byte, start, end int) bool {
	if end-start < 8 || end-start > 10 || !digits(text[start:end]) || end+3 > len(text) || text[end] != ':' || text[end+1] != 'A' || text[end+2] != 'A' {
		return false
	}
	stop := end + 1
	for stop < len(text) && kinds[text[stop]]&isToken != 0 {
		stop++
	}
	if n := stop - end - 1; n < 33 || n > 37 {
		return false
	}
	f.add(rows.telegram, start, stop, 0.98)
	return true
}

// before tells what the words before a piece say of it: they are its name.
// say is false where there are none.
func (f *finder) before(text []byte, from, start int) (class, bool) {
	lead := text[from:start]
	if n := len(lead); n == 0 || unled(lead[n-1]) || n > 1 && lead[n-1] == ':' && kinds[lead[n-2]]&isDigit != 0 {
		return class{}, false
	}
	if len(lead) > 48 {
		lead = lead[len(lead)-48:]
		if i := bytes.IndexByte(lead, ' '); i >= 0 {
			lead = lead[i:]
		}
	}
	for len(lead) > 0 {
		switch c := lead[len(lead)-1]; {
		case c == '.' && abbreviated(lead):
			lead = lead[:len(lead)-1]
			continue
		case c == ' ' || c == ':' || c == '=' || c == '#' || c == '"' || c == '\'' || c == '(' || c == '-' || c == '\n' || c == '\t':
			lead = lead[:len(lead)-1]
			continue
		case c == ',' || c == '.' || c == ';' || c == '!' || c == '?' || c == '|' || c == ')' || c == '>' || c == '/' || c == '&':
			return class{}, false
		}
		break
	}
	// A sentence begins after a full stop.
	for i := len(lead) - 1; i >= 0; i-- {
		if c := lead[i]; c == ',' || c == ';' || c == '!' || c == '?' || c == '|' || c == '\n' || c == '.' && i+1 < len(lead) && lead[i+1] == ' ' || c == '&' || c == '>' || c == '}' {
			lead = lead[i+1:]
			break
		}
	}
	if len(lead) == 0 || kinds[lead[len(lead)-1]]&isDigit != 0 && len(lead) < 4 {
		return class{}, false
	}
	w := &f.w
	w.split(lead)
	n := w.n
	for n > 1 && fillers[string(w.word(n-1))] { // "is", "to"; but "charged to" is a phrase
		n--
	}
	if n == 0 {
		return class{}, false
	}
	var c class
	for _, end := range [...]int{n, w.n} {
		for i := max(0, end-maxPhrase); i < end; i++ {
			if p, ok := lookup(w.join(i, end), i+1 == end); ok && (!p.hints.empty() || c.flags == 0) {
				c.hints, c.flags = p.hints, p.flags
				if !c.hints.empty() {
					return c, true
				}
				break
			}
		}
	}
	if c.flags != 0 {
		return c, true
	}
	for i := max(0, n-2); i < n; i++ {
		c.flags |= wordFlags[string(w.word(i))]
		if things[string(w.word(i))] {
			c.flags |= ident
		}
	}
	return c, true
}

// abbreviated: Tel., no., tél.
func abbreviated(lead []byte) bool {
	n := len(lead) - 1
	for n > 0 && lead[n-1] != ' ' && lead[n-1] != '.' {
		n--
	}
	return len(lead)-n <= 6 && len(lead)-n > 1
}

var fillers = wordSet(`is are was be to at the a an of my your his her their our for on in with as eq equals this that ist est es e sono war lautet vaut these below above
	following here now und et y see use new using reached reach back unter al au auf per para em su sua suo por naar na pod till jest to bei als`)

// saying finds what is said in a sentence: a password, an address.
func (f *finder) saying(text []byte, from, start, i int, cl *class) int {
	word := text[start:i]
	if len(word) == 2 {
		if equalFold(word, "pw") && i+4 < len(text) && (text[i] == ':' || text[i] == '=') {
			return f.saidPassword(text, i)
		}
		if end := i + 11; end <= len(text) && kinds[word[0]]&kinds[word[1]]&isUpper != 0 && text[i] == ' ' && kinds[text[i+1]]&isDigit != 0 && f.piece(text, from, start, end, cl) {
			return end // AB 12 34 56 C
		}
		if l := word[1] | 0x20; (l == 'o' || l == 's' || l == 't') && i+8 < len(text) && i >= f.noAddress {
			ctx := text[max(from, start-14):i]
			for _, p := range leads {
				if hasSuffixFold(ctx, p) {
					return f.saidAddress(text, i)
				}
			}
		}
		return 0
	}
	// Lengths of the words for "password", by their first letter.
	if lengths := sayingLengths[word[0]&31]; lengths>>len(word)&1 == 0 {
		return 0
	}
	var low [12]byte
	for k, b := range word {
		low[k] = b | 0x20
	}
	switch l := string(low[:len(word)]); {
	case l == "contrase":
		if hasPrefix(text[i:], "ña") {
			return f.saidPassword(text, i+len("ña"))
		}
	case l == "passe":
		if hasSuffixFold(text[max(from, start-7):i], "mot de passe") {
			return f.saidPassword(text, i)
		}
	case sayings[l]:
		return f.saidPassword(text, i)
	}
	return 0
}

// leads come before an address.
var leads = [...]string{"address is", "ship to", "deliver to", "lives at", "live at", "mail it to", "send it to", "ship it to", "deliver it to"}

var sayings = wordsOf("password passwd pwd passphrase passwort kennwort contrasena senha wachtwoord haslo motdepasse mdp parola pass passe contrase")

var sayingLengths = func() (t [32]uint16) {
	for w := range sayings {
		t[w[0]&31] |= 1 << len(w)
	}
	t['p'&31] |= 1 << len("pw")
	return t
}()

func hasSuffixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && equalFold(b[len(b)-len(lower):], lower) && (len(b) == len(lower) || kinds[b[len(b)-len(lower)-1]]&isToken == 0)
}

// saidPassword: "password is X", "pwd: X".
func (f *finder) saidPassword(text []byte, i int) int {
	j := i
	sep := false
	for j < len(text) && (text[j] == ' ' || text[j] == ':' || text[j] == '=') {
		sep = sep || text[j] != ' '
		j++
	}
	if !sep {
		is := false
		for _, s := range [...]string{"is ", "is: ", "ist ", "lautet ", "est ", "es ", "\xc3\xa8 ", "\xc3\xa9 ", "jest ", "to ", "er "} {
			is = is || hasPrefix(text[j:], s)
		}
		if j == i || !is {
			return 0
		}
		for j < len(text) && text[j] != ' ' {
			j++
		}
		j++
	}
	end := j
	if quote := j < len(text)-5 && sep && (text[j] == '"' || text[j] == '\''); quote { // an argument of GraphQL, a line of configuration
		j++
		n := bytes.IndexByte(text[j:min(len(text), j+130)], text[j-1])
		if n < 4 {
			return 0
		}
		end = j + n
	} else {
		for end < len(text) && text[end] > ' ' && text[end] != '"' {
			end++
		}
	}
	if end < len(text) || end > j {
		for end > j && (text[end-1] == '.' || text[end-1] == ',' || text[end-1] == ';' || text[end-1] == ')') && end-j > 1 {
			end--
		}
	}
	c := &f.c
	c.cut(text[j:end])
	c.whole, c.named, c.number, c.year = false, true, false, f.year
	if bytes.ContainsAny(c.text, "(){}<>\"'[];\\") && (c.digits < 2 || bytes.ContainsAny(c.text, "()<>\"'")) {
		return 0 // code
	}
	if len(c.text) < 4 || !password(c) || !(sep || c.digits > 0 || c.seps&otherSep != 0 || c.upper > 0 && c.lower > 0 && kinds[c.text[0]]&isLower != 0 || c.upper > 1) {
		return 0
	}
	if sep && c.digits == 0 && c.upper == 0 && c.seps == 0 && c.n == len(c.text) && len(c.text) < 8 && end < len(text)-2 && i-j > -3 {
		return 0 // "password: must be set"
	}
	f.add(rows.password, j, end, 0.85)
	return end
}

func hasPrefix(b []byte, p string) bool { return len(b) >= len(p) && string(b[:len(p)]) == p }

// saidAddress: a number and words, up to the end of the sentence.
func (f *finder) saidAddress(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == ':') {
		i++
	}
	if i < f.noAddress {
		return 0
	}
	end := i
	for end < len(text) && end-i < 120 {
		if b := text[end]; (b == '.' || b == ';' || b == '\n') && (end+1 == len(text) || text[end+1] <= ' ') || b == ' ' && end+2 < len(text) && text[end+1] == '-' && text[end+2] == ' ' {
			break
		}
		end++
	}
	for end > i && (text[end-1] == ' ' || text[end-1] == ',') {
		end--
	}
	c := &f.c
	c.cut(text[i:end])
	c.whole, c.named, c.number, c.year = false, true, false, f.year
	if c.digits == 0 || c.n < 6 || !street(c) {
		f.noAddress = end
		return 0
	}
	f.add(rows.street, i, end, 0.8)
	return end
}
