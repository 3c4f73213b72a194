package sensitive

// Numbers that states give to people, with their check digits.

func ssn(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !(c.grouped(3, 2, 4) && c.only(dashSep|blankSep|dotSep)) || c.groups == 1 && c.seps != 0 {
		return false
	}
	a, g, s := num(d[:3]), num(d[3:5]), num(d[5:])
	if a == 0 || a == 666 || a >= 900 || g == 0 || s == 0 || uniform(d) {
		return false
	}
	return string(d) != "123456789"
}

// testSSNs were printed in advertisements and are nobody's.
var testSSNs = map[string]bool{"078051120": true, "219099999": true, "457555462": true}

func itin(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !(c.grouped(3, 2, 4) && c.only(dashSep|blankSep)) {
		return false
	}
	g := num(d[3:5])
	return d[0] == '9' && (50 <= g && g <= 65 || 70 <= g && g <= 88 || 90 <= g && g <= 92 || 94 <= g)
}

func ein(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !(c.grouped(2, 7) && c.only(dashSep|blankSep)) || c.groups == 1 && c.seps != 0 {
		return false
	}
	switch p := num(d[:2]); p {
	case 0, 7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97:
		return false
	}
	return !uniform(d)
}

func sin(c *candidate) bool {
	d := c.compact
	return d[0] != '0' && d[0] != '8' && luhn(d) && (c.groups == 1 && c.seps == 0 || c.grouped(3, 3, 3)) && !uniform(d)
}

func nino(c *candidate) bool {
	b := c.compact
	if c.high > 0 || !c.only(blankSep|dashSep) || kinds[b[0]]&kinds[b[1]]&isUpper == 0 || !digits(b[2:8]) || b[8] < 'A' || b[8] > 'D' {
		return false
	}
	bad := func(x byte) bool { return x == 'D' || x == 'F' || x == 'I' || x == 'Q' || x == 'U' || x == 'V' }
	switch string(b[:2]) {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	return !bad(b[0]) && !bad(b[1]) && b[1] != 'O'
}

func nhs(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !c.grouped(3, 3, 4) || uniform(d) {
		return false
	}
	check := 11 - weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	if check == 11 {
		check = 0
	}
	return check == int(d[9]-'0')
}

func aadhaar(c *candidate) bool {
	d := c.compact
	return d[0] >= '2' && (c.groups == 1 || c.grouped(4, 4, 4)) && verhoeff(d)
}

func verhoeff(d []byte) bool {
	const mul = "0123456789123406789523401789563401289567401239567859876043216598710432765982104387659321049876543210"
	const perm = "01234567891576283094580379614289160435279453126870428657390127938064157046913258"
	c := 0
	for i := range d {
		p := int(perm[i%8*10+int(d[len(d)-1-i]-'0')] - '0')
		c = int(mul[c*10+p] - '0')
	}
	return c == 0
}

func indianPAN(c *candidate) bool {
	b := c.compact
	if c.seps != 0 || c.lower > 0 || c.high > 0 || !digits(b[5:9]) || kinds[b[9]]&isUpper == 0 {
		return false
	}
	for _, x := range b[:5] {
		if kinds[x]&isUpper == 0 {
			return false
		}
	}
	switch b[3] {
	case 'P', 'C', 'H', 'F', 'A', 'T', 'B', 'L', 'J', 'G':
		return true
	}
	return false
}

// descending is a check digit by modulo 11 with weights n, n-1, … 2.
func descending(d []byte, from int) int {
	sum := 0
	for i, x := range d {
		sum += (from - i) * int(x-'0')
	}
	return sum
}

func cpf(c *candidate) bool {
	d := c.compact
	dotted := c.grouped(3, 3, 3, 2) && c.seps == dotSep|dashSep
	if !dotted && !(c.named && (c.groups == 1 || c.only(dotSep|dashSep|blankSep))) || uniform(d) {
		return false
	}
	check := func(n int) bool { return descending(d[:n], n+1)*10%11%10 == int(d[n]-'0') }
	return check(9) && check(10)
}

// cnpj: letters are allowed in the first twelve places from 2026.
func cnpj(c *candidate) bool {
	b := c.compact
	dotted := c.grouped(2, 3, 3, 4, 2) && c.seps == dotSep|slashSep|dashSep
	if !dotted && !(c.named && c.groups == 1) || !digits(b[12:]) || uniform(b) {
		return false
	}
	check := func(n int) bool {
		sum, w := 0, n-7
		for _, x := range b[:n] {
			sum += w * int(x-'0')
			if w--; w < 2 {
				w = 9
			}
		}
		r := 11 - sum%11
		if r >= 10 {
			r = 0
		}
		return r == int(b[n]-'0')
	}
	return check(12) && check(13)
}

func dni(c *candidate) bool {
	b := c.compact
	if c.high > 0 || c.groups > 4 || !c.only(dashSep|blankSep|dotSep) {
		return false
	}
	n := 0
	switch {
	case digits(b[:8]):
		n = num(b[:8])
	case (b[0] == 'X' || b[0] == 'Y' || b[0] == 'Z') && digits(b[1:8]):
		n = int(b[0]-'X')*10000000 + num(b[1:8])
	default:
		return false
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] == b[8]
}

func nir(c *candidate) bool {
	b := c.compact
	if len(b) != 13 && len(b) != 15 || !c.only(blankSep|dashSep) || b[0] != '1' && b[0] != '2' && b[0] != '3' && b[0] != '4' && b[0] != '7' && b[0] != '8' {
		return false
	}
	var d [15]byte
	copy(d[:], b)
	minus := 0
	if d[5] == '2' && d[6] == 'A' { // Corsica
		d[6], minus = '0', 1000000
		d[5] = '2'
	} else if d[5] == '2' && d[6] == 'B' {
		d[6], minus = '0', 2000000
	}
	if !digits(d[:len(b)]) {
		return false
	}
	n := num(d[:13]) - minus
	if minus > 0 && len(b) == 15 {
		// 2A counts as 19 and 2B as 18.
		d[5], d[6] = '1', '9'
		if minus == 2000000 {
			d[6] = '8'
		}
		n = num(d[:13])
	}
	m := num(b[3:5])
	if m < 1 || m > 12 && m < 20 || m > 42 && m < 50 {
		return false
	}
	return len(b) == 15 && 97-n%97 == num(b[13:]) || len(b) == 13 && c.named && c.seps == blankSep
}

func codiceFiscale(c *candidate) bool {
	b := c.compact
	if c.high > 0 || c.seps != 0 {
		return false
	}
	const shape = "AAAAAANNANNANNNA"
	for i, x := range b {
		letter := kinds[x]&isUpper != 0
		switch {
		case shape[i] == 'A' && !letter:
			return false
		case shape[i] == 'N' && letter && (x < 'L' || x > 'V' || x == 'O'): // homocody
			return false
		}
	}
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, x := range b[:15] {
		v := int(x - 'A')
		if x <= '9' {
			v = int(x - '0')
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return byte('A'+sum%26) == b[15]
}

// mod1110 is ISO/IEC 7064, MOD 11,10.
func mod1110(d []byte) bool {
	p := 10
	for _, x := range d[:len(d)-1] {
		s := (int(x-'0') + p) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return (11-p)%10 == int(d[len(d)-1]-'0')
}

func steuerID(c *candidate) bool {
	d := c.compact
	if d[0] == '0' || !c.only(blankSep) {
		return false
	}
	var count [10]int
	distinct := 0
	for _, x := range d[:10] {
		if count[x-'0']++; count[x-'0'] == 1 {
			distinct++
		}
	}
	return distinct >= 7 && distinct <= 9 && mod1110(d)
}

func bsn(c *candidate) bool {
	var d [9]byte
	d[0] = '0'
	copy(d[9-len(c.compact):], c.compact)
	if !c.only(dotSep|blankSep|dashSep) || uniform(c.compact) {
		return false
	}
	return weighted(d[:], 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0
}

func pesel(c *candidate) bool {
	d := c.compact
	if c.seps != 0 {
		return false
	}
	m := num(d[2:4])
	year := 1900 + num(d[:2])
	switch m / 20 {
	case 1:
		year += 100
	case 2:
		year += 200
	case 3:
		year += 300
	case 4:
		year -= 100
	}
	if !validDate(year, m%20, num(d[4:6])) {
		return false
	}
	return (10-weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10 == int(d[10]-'0')
}

func personnummer(c *candidate) bool {
	d := c.compact
	if len(d) == 11 || !c.only(dashSep|plusSep) || c.groups > 2 || c.groups == 2 && c.lens[1] != 4 {
		return false
	}
	if len(d) == 12 {
		if !c.lived(num(d[:4])) {
			return false
		}
		d = d[2:]
	} else if c.groups == 1 && !c.named {
		return false
	}
	day := num(d[4:6])
	if day > 60 { // coordination number
		day -= 60
	}
	return validDate(2000, num(d[2:4]), day) && luhn(d)
}

func hetu(c *candidate) bool {
	t := c.text
	if len(t) != 11 || !digits(t[:6]) || !digits(t[7:10]) || !validDate(2000, num(t[2:4]), num(t[:2])) {
		return false
	}
	switch t[6] {
	case '-', '+', 'A', 'B', 'C', 'D', 'E', 'F', 'Y', 'X', 'W', 'V', 'U':
	default:
		return false
	}
	n := num(t[:6])*1000 + num(t[7:10])
	return "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31] == c.compact[len(c.compact)-1]
}

func residentID(c *candidate) bool {
	b := c.compact
	if c.seps != 0 || c.high > 0 || !digits(b[:17]) {
		return false
	}
	p := num(b[:2])
	if p < 11 || p > 65 && p != 71 && p != 81 && p != 82 && p != 83 && p != 91 {
		return false
	}
	if y := num(b[6:10]); !c.lived(y) || !validDate(y, num(b[10:12]), num(b[12:14])) {
		return false
	}
	sum := weighted(b, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
	return "10X98765432"[sum%11] == b[17]
}

// rrn: the check digit was given up in October 2020.
func rrn(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !(c.grouped(6, 7) && c.seps == dashSep) || d[6] < '1' || d[6] > '8' {
		return false
	}
	century := 1900
	if d[6] == '3' || d[6] == '4' || d[6] == '7' || d[6] == '8' {
		century = 2000
	}
	year := century + num(d[:2])
	if c.year > 0 && year > c.year || !validDate(year, num(d[2:4]), num(d[4:6])) {
		return false
	}
	if year*100+num(d[2:4]) >= 202010 || c.groups == 2 {
		return true
	}
	return (11-weighted(d, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10 == int(d[12]-'0')
}

func myNumber(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !c.grouped(4, 4, 4) || uniform(d) {
		return false
	}
	r := weighted(d, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11
	check := 0
	if r > 1 {
		check = 11 - r
	}
	return check == int(d[11]-'0')
}

func nric(c *candidate) bool {
	b := c.compact
	if c.high > 0 || c.seps != 0 || !digits(b[1:8]) {
		return false
	}
	sum := weighted(b[1:], 2, 7, 6, 5, 4, 3, 2)
	switch b[0] {
	case 'T', 'G':
		sum += 4
	case 'M':
		sum += 3
	}
	switch b[0] {
	case 'S', 'T':
		return "JZIHGFEDCBA"[sum%11] == b[8]
	case 'F', 'G':
		return "XWUTRQPNMLK"[sum%11] == b[8]
	case 'M':
		return "KLJNPQRTUWX"[sum%11] == b[8] || "XWUTRQPNJLK"[sum%11] == b[8]
	}
	return false
}

func tfn(c *candidate) bool {
	d := c.compact
	if c.groups > 1 && !c.grouped(3, 3, 3) && !c.grouped(3, 3, 2) && !c.grouped(2, 3, 3) || uniform(d) {
		return false
	}
	if len(d) == 8 {
		return weighted(d, 10, 7, 8, 4, 6, 3, 5, 1)%11 == 0
	}
	return weighted(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0
}

func medicare(c *candidate) bool {
	d := c.compact
	return d[0] >= '2' && d[0] <= '6' && c.only(blankSep|dashSep|slashSep) && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9)%10 == int(d[8]-'0')
}

func southAfrican(c *candidate) bool {
	d := c.compact
	return c.only(blankSep) && validDate(2000, num(d[2:4]), num(d[4:6])) && d[10] <= '2' && luhn(d)
}

func curp(c *candidate) bool {
	b := c.compact
	if c.seps != 0 || c.high > 0 || !digits(b[4:10]) || b[10] != 'H' && b[10] != 'M' && b[10] != 'X' || kinds[b[17]]&isDigit == 0 {
		return false
	}
	for _, i := range [...]int{0, 1, 2, 3, 11, 12, 13, 14, 15} {
		if kinds[b[i]]&isUpper == 0 {
			return false
		}
	}
	if !validDate(2000, num(b[6:8]), num(b[8:10])) || !states[string(b[11:13])] {
		return false
	}
	// The alphabet has Ñ after N, which only shifts what follows it.
	sum := 0
	for i, x := range b[:17] {
		v := int(x - '0')
		if x >= 'A' {
			v = int(x-'A') + 10
			if x > 'N' {
				v++
			}
		}
		sum += v * (18 - i)
	}
	return (10-sum%10)%10 == int(b[17]-'0')
}

// states are the entities of CURP.
var states = wordsOf("AS BC BS CC CL CM CS CH DF CX DG GT GR HG JC MC MN MS NT NL OC PL QT QR SP SL SR TC TS TL VZ YN ZS NE")

func rut(c *candidate) bool {
	b := c.compact
	if c.high > 0 || len(b) < 7 || !c.only(dotSep|dashSep) {
		return false
	}
	n := len(b) - 1
	if !digits(b[:n]) || c.groups > 1 && c.lens[min(c.groups, len(c.lens))-1] != 1 {
		return false
	}
	sum, w := 0, 2
	for i := n - 1; i >= 0; i-- {
		sum += w * int(b[i]-'0')
		if w++; w > 7 {
			w = 2
		}
	}
	return "0123456789K0"[(11-sum%11)%11] == b[n]
}

func tckn(c *candidate) bool {
	d := c.compact
	if d[0] == '0' || c.seps != 0 {
		return false
	}
	odd := weighted(d, 1, 0, 1, 0, 1, 0, 1, 0, 1)
	even := weighted(d, 0, 1, 0, 1, 0, 1, 0, 1)
	ten := ((odd*7-even)%10 + 10) % 10
	return ten == int(d[9]-'0') && (odd+even+ten)%10 == int(d[10]-'0')
}

func belgian(c *candidate) bool {
	d := c.compact
	if !c.only(dotSep|dashSep|blankSep) || c.groups > 1 && !c.grouped(2, 2, 2, 3, 2) && !c.grouped(6, 3, 2) && !c.grouped(6, 5) {
		return false
	}
	if m := num(d[2:4]); m > 12 && (m < 20 || m > 52) {
		return false
	}
	n := num(d[:9])
	return 97-n%97 == num(d[9:]) || 97-(2000000000+n)%97 == num(d[9:])
}

func passport(c *candidate) bool {
	if c.seps != 0 && c.seps != dashSep && c.seps != blankSep || c.groups > 3 || c.high > 0 || c.lower > 0 && c.upper > 0 {
		return false
	}
	letters := c.upper + c.lower
	if c.digits < 3 && (c.lower > 0 || c.n != 9 || c.seps != 0) { // German ones are letters, mostly
		return false
	}
	return (c.digits >= 3 && letters <= 5 || c.n == 9 && c.upper > 0 && c.seps == 0) && !(c.digits == c.n && uniform(c.compact)) && !(c.grouped(4, 2, 2) && letters == 0)
}

func licence(c *candidate) bool {
	return c.only(dashSep|blankSep) && c.groups <= 5 && c.high == 0 && c.upper+c.lower <= 10 && !(c.upper > 0 && c.lower > 0) && !(c.grouped(4, 2, 2) && c.digits == c.n)
}

func plate(c *candidate) bool {
	if n := c.n - c.high + (c.high+2)/3; n < 3 || n > 9 || c.groups > 4 || !c.only(dashSep|blankSep|dotSep) || c.number || c.lower > 0 && c.upper > 0 {
		return false
	}
	return c.upper+c.lower+c.high > 0 && c.digits > 0
}

// vin: the check digit of 49 CFR 565, and the running number at the end.
func vin(c *candidate) bool {
	b := c.compact
	if c.seps != 0 || c.lower > 0 && c.upper > 0 || c.high > 0 || !digits(b[13:]) || c.upper+c.lower < 2 {
		return false
	}
	const values = "12345678.12345.7.923456789" // A to Z; I, O and Q are not used
	weights := [...]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}
	sum := 0
	for i, x := range b {
		v := 0
		switch {
		case x <= '9':
			v = int(x - '0')
		case values[x-'A'] == '.':
			return false
		default:
			v = int(values[x-'A'] - '0')
		}
		sum += v * weights[i]
	}
	return "0123456789X"[sum%11] == b[8]
}

func npi(c *candidate) bool {
	d := c.compact
	if c.seps != 0 || d[0] != '1' && d[0] != '2' {
		return false
	}
	var full [15]byte
	copy(full[:], "80840")
	copy(full[5:], d)
	return luhn(full[:])
}

func dea(c *candidate) bool {
	b := c.compact
	if c.seps != 0 || c.high > 0 || kinds[b[0]]&isUpper == 0 || kinds[b[1]]&isUpper == 0 && b[1] != '9' || !digits(b[2:]) {
		return false
	}
	return (weighted(b[2:], 1, 0, 1, 0, 1)+2*weighted(b[2:], 0, 1, 0, 1, 0, 1))%10 == int(b[8]-'0')
}

// mbi: position rules of CMS; S, L, O, I, B and Z are not used.
func mbi(c *candidate) bool {
	b := c.compact
	if c.high > 0 || !c.only(dashSep|blankSep) || c.groups > 1 && !c.grouped(4, 3, 4) {
		return false
	}
	const shape = "1AXNAXNAANN" // 1: 1–9, A: letter, N: digit, X: either
	for i, x := range b {
		letter := kinds[x]&isUpper != 0
		if letter && (x == 'S' || x == 'L' || x == 'O' || x == 'I' || x == 'B' || x == 'Z') {
			return false
		}
		switch shape[i] {
		case '1':
			if x < '1' || x > '9' {
				return false
			}
		case 'A':
			if !letter {
				return false
			}
		case 'N':
			if letter {
				return false
			}
		}
	}
	return true
}

func recordNumber(c *candidate) bool {
	return c.only(dashSep|blankSep|dotSep|slashSep) && c.groups <= 4 && c.high == 0 && c.upper+c.lower <= 8 && !(c.upper > 0 && c.lower > 0)
}

// icd10: a chapter's letter, two digits, and a subdivision.
func icd10(c *candidate) bool {
	b := c.compact
	if c.high > 0 || !c.only(dotSep) || kinds[b[0]]&isUpper == 0 || kinds[b[1]]&isDigit == 0 || kinds[b[2]]&(isDigit|isUpper) == 0 {
		return false
	}
	if c.groups == 2 && c.lens[0] != 3 || c.groups > 2 || c.upper+c.lower > 3 {
		return false
	}
	return c.groups == 2 || c.n == 3 || c.named && c.whole
}

func imei(c *candidate) bool {
	d := c.compact
	if !c.only(dashSep|blankSep|slashSep) || uniform(d) {
		return false
	}
	if len(d) == 16 { // IMEISV has no check digit
		return d[0] == '3' || d[0] == '0' && d[1] == '1' || d[0] == '8' && d[1] == '6'
	}
	return luhn(d)
}

func iccid(c *candidate) bool {
	b := c.compact
	if c.seps&^(blankSep|dashSep) != 0 || b[0] != '8' || b[1] != '9' || len(b) < 18 {
		return false
	}
	if n := len(b); b[n-1] == 'F' {
		b = b[:n-1]
	}
	return digits(b) && len(b) >= 18
}

func uuid(c *candidate) bool {
	return c.n == 32 && c.grouped(8, 4, 4, 4, 12) && c.seps == dashSep && hexes(c.compact) && varied(c.compact)
}

// position: degrees with at least four decimals, one or two of them.
func position(c *candidate) bool {
	rest := c.text
	for i := range 2 {
		neg := len(rest) > 0 && (rest[0] == '-' || rest[0] == '+')
		if neg {
			rest = rest[1:]
		}
		whole := 0
		for len(rest) > 0 && kinds[rest[0]]&isDigit != 0 && whole < 1000 {
			whole = whole*10 + int(rest[0]-'0')
			rest = rest[1:]
		}
		if whole > 180 || len(rest) == 0 || rest[0] != '.' {
			return false
		}
		rest = rest[1:]
		n := 0
		for len(rest) > 0 && kinds[rest[0]]&isDigit != 0 {
			n++
			rest = rest[1:]
		}
		if n < 4 || n > 17 {
			return false
		}
		if len(rest) == 0 {
			return true
		}
		if i == 0 && (rest[0] == ',' || rest[0] == ';' || rest[0] == ' ') {
			for len(rest) > 0 && (rest[0] == ',' || rest[0] == ';' || rest[0] == ' ') {
				rest = rest[1:]
			}
			continue
		}
		return false
	}
	return false
}
