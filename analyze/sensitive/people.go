package sensitive

import "bytes"

// Checks of what people write about people: weak shapes, judged only under a
// telling name.

// phone: international with + and a country code, or national under its name.
func phone(c *candidate) bool {
	if c.digits < c.n && !c.extension() {
		return false
	}
	if c.seps&(colonSep|otherSep) != 0 || c.digits < 7 || uniform(c.compact) || c.groups > 7 {
		return false
	}
	if len(c.text) > 0 && c.text[0] == '+' {
		return c.digits >= 8 && c.compact[0] != '0' && !c.grouped(4, 2, 2)
	}
	if !c.named || c.digits < 7 {
		return false
	}
	if c.groups == 3 && c.lens[0] == 4 && c.lens[1] == 2 && c.lens[2] == 2 { // a date
		return false
	}
	if c.groups == 4 && c.seps == dotSep && c.lens[0] <= 3 && c.lens[1] <= 3 && c.lens[2] <= 3 && c.lens[3] <= 3 && c.lens[1] == 1 { // an address
		return false
	}
	return true
}

// extension cuts one off a telephone number: x123, ext. 45.
func (c *candidate) extension() bool {
	i := bytes.LastIndexAny(c.text, "xX")
	if i < 7 || c.high > 0 || c.upper+c.lower > 3 {
		return false
	}
	if i > 0 && c.text[i-1]|0x20 == 'e' {
		i--
	}
	named, whole := c.named, c.whole
	c.cut(bytes.TrimRight(c.text[:i], " ,;"))
	c.named, c.whole = named, whole
	return c.digits == c.n
}

// personName: letters, few of anything else, not a word of configuration.
func personName(c *candidate) bool {
	t := c.text
	if c.digits > 0 || c.number || c.n < 1 || c.groups > 8 {
		return false
	}
	for i, b := range t {
		switch {
		case kinds[b]&(isUpper|isLower) != 0, b >= 0x80:
		case b == '.' && i > 1 && i+2 < len(t) && kinds[t[i+1]]&isLower != 0 && kinds[t[i-2]]&(isUpper|isLower) != 0:
			return false // the ending of a file, a host
		case b == ' ' || b == '-' || b == '\'' || b == '.' || b == ',' || b == '`':
		default:
			return false
		}
	}
	if placeholder(t) || c.n < 2 && c.high == 0 && c.upper == 0 {
		return false
	}
	return !company(t)
}

// company tells names of firms, which are nobody's personal data.
func company(t []byte) bool {
	i := bytes.LastIndexByte(t, ' ')
	switch last := string(bytes.Trim(t[i+1:], ".,")); last {
	case "Inc", "LLC", "Ltd", "GmbH", "AG", "SA", "SARL", "BV", "AB", "Corp", "Corporation", "Limited", "PLC", "plc", "Company", "Group", "Sons", "KG", "SpA", "Srl", "SL", "Oy", "AS", "LLP", "Foundation", "Bank", "University", "Hospital", "Clinic", "Pharmacy", "Store", "Shop", "Services", "Solutions", "Systems", "Technologies", "Holdings", "Partners", "Associates", "Hermanos", "Asociados":
		return i > 0
	}
	return false
}

// street: words and a number, or words and a comma.
func street(c *candidate) bool {
	t := c.text
	if c.upper+c.lower+c.high < 3 || len(t) > 200 || placeholder(t) || bytes.IndexByte(t, '@') >= 0 || bytes.Contains(t, []byte("://")) {
		return false
	}
	if c.high >= 6 && c.digits > 0 && c.upper+c.lower <= 4 { // no blanks in Chinese, Japanese
		return true
	}
	if c.digits == 0 && bytes.IndexByte(t, ',') < 0 && c.high < 9 && !bytes.HasSuffix(bytes.TrimRight(t, "."), []byte(" s/n")) {
		return false
	}
	if bytes.IndexByte(t, '=') >= 0 || bytes.IndexByte(t, '{') >= 0 || bytes.IndexByte(t, '_') >= 0 {
		return false
	}
	return c.groups >= 2 && (c.seps&blankSep != 0) && c.upper+c.high > 0 || c.high >= 9 && c.groups >= 1
}

// postal is the shape of postal codes of the countries of the world, roughly.
func postal(c *candidate) bool {
	if !c.only(blankSep|dashSep) || c.groups > 2 || c.high > 3 || c.lower > 0 && c.upper > 0 {
		return false
	}
	if c.digits == c.n {
		return c.n >= 4 && c.n <= 10 && !(c.groups == 1 && c.seps != 0)
	}
	return c.n >= 5 && c.n <= 8 && c.digits >= 2 && c.upper+c.lower <= 5
}

// words1 is a short text, not a flag, a number or a placeholder.
func words1(c *candidate) bool {
	return c.digits == 0 && c.upper+c.lower+c.high >= 3 && c.groups <= 8 && !placeholder(c.text) && !bytes.ContainsAny(c.text, "{}[]@=<>_") && !bytes.Contains(c.text, []byte("://"))
}

func medical(c *candidate) bool {
	t := c.text
	if len(t) <= 4 && blood(t) {
		return true
	}
	return c.upper+c.lower+c.high >= 3 && len(t) <= 200 && !c.number && !placeholder(t) && !bytes.ContainsAny(t, "{}[]@=<>_") && !bytes.Contains(t, []byte("://"))
}

// blood groups: A+, AB-, 0 Rh+.
func blood(t []byte) bool {
	switch string(t) {
	case "A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-", "0+", "0-", "A", "B", "AB", "O":
		return true
	}
	return false
}
