package sensitive

import "strings"

// A set holds detectors by their index in the table.
type set [2]uint64

func (s *set) add(i int)     { s[i>>6] |= 1 << (i & 63) }
func (s set) has(i int) bool { return s[i>>6]>>(i&63)&1 != 0 }
func (s set) empty() bool    { return s[0]|s[1] == 0 }

// Flags of a name: what its words say against a value being sensitive.
type nameFlags uint8

const (
	ident   nameFlags = 1 << iota // it names a thing: order, SKU, ticket; digits there are no card
	version                       // dotted digits there are no address
	public                        // published on purpose: public keys, site keys, hashes, cursors
	veto                          // it is about the value, not the value: masked, has, min, last four
)

// A class is what the name of a value says about it.
type class struct {
	hints set
	flags nameFlags
	own   uint64 // rules of the user that know the name, by bit
	// opens: as a parent it may complete the name of its child ("card" for
	// "number"); closes: as a child it may be completed by its parent.
	opens, closes bool
	blank         bool // says nothing: value, data, field_1
	about         bool // as a parent: its children are said about fields, they are no values of theirs
}

// maxName is how many bytes of a name are read, from its end: the end of a
// compound tells what it is.
const (
	maxName   = 64
	maxWords  = 8
	maxPhrase = 6 // words of the longest phrase that is looked up
)

// words is a name cut into normal words: lower case, without accents, written
// abbreviations of "number" and the like made one.
type words struct {
	buf [maxName + 64]byte
	off [maxWords + 1]uint8 // word i is buf[off[i]:off[i+1]]
	n   int
}

func (w *words) word(i int) []byte    { return w.buf[w.off[i]:w.off[i+1]] }
func (w *words) join(i, j int) []byte { return w.buf[w.off[i]:w.off[j]] }

// split cuts a name at separators, at changes of case and between letters and
// digits: cardNumber, card_number, Card-Number, CARD NUMBER, APIKey.
func (w *words) split(name []byte) {
	// What customers add to an object of their CRM ends so: SSN__c.
	for _, end := range [...]string{"__c", "__pc"} {
		if n := len(name) - len(end); n > 1 && string(name[n:]) == end {
			name = name[:n]
		}
	}
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	w.add(name, 0)
}

// add appends the words of name after the n words that are there.
func (w *words) add(name []byte, n int) {
	w.n = n
	pos := int(w.off[n])
	start := pos
	flush := func() {
		if pos == start {
			return
		}
		if w.n == maxWords { // forget the first word
			cut := int(w.off[1])
			copy(w.buf[:], w.buf[cut:pos])
			for i := 1; i <= maxWords; i++ {
				w.off[i-1] = w.off[i] - uint8(cut)
			}
			pos -= cut
			start -= cut
			w.n--
		}
		if s := synonyms[string(w.buf[start:pos])]; s != "" && start+len(s) <= len(w.buf) {
			pos = start + copy(w.buf[start:], s)
		} else if k := pos - len("nummer"); k > start && (string(w.buf[k:pos]) == "nummer" || string(w.buf[k:pos]) == "numero") {
			pos = k + copy(w.buf[k:], "number")
		}
		w.n++
		w.off[w.n] = uint8(pos)
		start = pos
	}
	const (
		none = iota
		lower
		upper
		digit
	)
	last := none
	for i := 0; i < len(name) && pos < len(w.buf)-8; i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z':
			if last == digit {
				flush()
			}
			last = lower
		case 'A' <= c && c <= 'Z':
			next := byte(0)
			if i+1 < len(name) {
				next = name[i+1]
			}
			if last == lower || last == digit || last == upper && 'a' <= next && next <= 'z' && !(next == 's' && i+2 == len(name)) {
				flush()
			}
			last = upper
			c |= 0x20
		case '0' <= c && c <= '9':
			if last != digit {
				flush()
			}
			last = digit
		case c >= 0x80:
			if c == 0xcc || c == 0xcd { // combining marks of decomposed accents
				i++
				continue
			}
			if f, n := fold(name[i:]); n > 0 {
				i += n - 1
				if last == digit {
					flush()
				}
				pos += copy(w.buf[pos:], f)
				last = lower
				continue
			}
			if last == digit {
				flush()
			}
			last = lower
		default:
			flush()
			last = none
			continue
		}
		w.buf[pos] = c
		pos++
	}
	flush()
	w.plain(n)
}

// plain takes the articles out of the middle of the words from n on, and puts a
// leading "number" last: numero de la tarjeta is a card number.
func (w *words) plain(n int) {
	for i := w.n - 2; i > n; i-- {
		if articles[string(w.word(i))] {
			cut := int(w.off[i+1] - w.off[i])
			copy(w.buf[w.off[i]:], w.buf[w.off[i+1]:w.off[w.n]])
			for k := i + 1; k < w.n; k++ {
				w.off[k] = w.off[k+1] - uint8(cut)
			}
			w.n--
		}
	}
	if w.n-n == 2 && string(w.word(n)) == "number" {
		var second [maxName]byte
		k := copy(second[:], w.word(n+1))
		at := int(w.off[n])
		copy(w.buf[at:], second[:k])
		copy(w.buf[at+k:], "number")
		w.off[n+1] = uint8(at + k)
	}
}

// articles and prepositions stand inside names of Romance languages.
var articles = map[string]bool{"de": true, "del": true, "da": true, "do": true, "di": true, "du": true, "des": true, "la": true, "le": true, "el": true, "della": true, "dello": true, "dos": true, "das": true, "l": true, "d": true}

// fold takes the accent from a Latin letter of two bytes and lowers Greek and
// Cyrillic capitals; n is 0 for other characters.
func fold(b []byte) (s string, n int) {
	if len(b) < 2 {
		return "", 0
	}
	r := rune(b[0]&0x1f)<<6 | rune(b[1]&0x3f)
	switch {
	case b[0]&0xe0 != 0xc0:
		return "", 0
	case 0xc0 <= r && r < 0x180:
		return latin[r-0xc0], 2
	case 0x410 <= r && r <= 0x42f:
		return string(r + 0x20), 2
	case r == 0x401 || r == 0x451: // Ё, ё
		return "е", 2
	}
	return "", 0
}

// latin is U+00C0 to U+017F without accents.
var latin = func() (t [0xc0]string) {
	const base = "aaaaaaæceeeeiiiidnooooo oouuuuyþßaaaaaaæceeeeiiiidnooooo ouuuuyþy"
	i := 0
	for _, r := range base {
		switch {
		case i >= 64:
		case r == 'æ':
			t[i] = "ae"
		case r == 'ß':
			t[i] = "ss"
		case r == 'þ':
			t[i] = "th"
		case r != ' ':
			t[i] = string(r)
		}
		i++
	}
	const extended = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii" + "  jjkkkllllllllllnnnnnnnnnoooooo  rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
	for i, r := range []byte(extended) {
		if r != ' ' && 64+i < len(t) {
			t[64+i] = string(rune(r))
		}
	}
	t[0x152-0xc0], t[0x153-0xc0] = "oe", "oe"
	t[0xd8-0xc0], t[0xf8-0xc0] = "o", "o"
	return t
}()

// synonyms make abbreviations and spellings one word before phrases are
// looked up, in the table and in names alike.
var synonyms = map[string]string{
	"no": "number", "num": "number", "nr": "number", "nbr": "number", "nro": "number", "nmbr": "number",
	"numero": "number", "nummer": "number", "numer": "number", "numéro": "number", "numbers": "number", "nos": "number",
	"addr": "address", "adr": "address", "addresses": "address",
	"acct": "account", "acc": "account", "accnt": "account", "acnt": "account", "accounts": "account",
	"cust": "customer", "usr": "user", "emp": "employee", "pt": "patient",
	"tele": "telephone", "ph": "phone", "phn": "phone", "mob": "mobile", "cel": "cell",
	"lic": "license", "licence": "license", "lisence": "license", "licenses": "license",
	"fname": "firstname", "lname": "lastname", "mname": "middlename",
	"cred": "credential", "creds": "credential", "credentials": "credential",
	"pswd": "password", "passwort": "password", "pword": "password", "passwords": "password",
	"tok": "token", "tkn": "token", "tokens": "token",
	"secrets": "secret",
	"cc":      "creditcard", "crd": "card", "cards": "card",
	"exp": "expiry", "expiration": "expiry", "expires": "expiry", "expire": "expiry",
	"mo": "month", "mm": "month", "yr": "year", "yy": "year", "yyyy": "year",
	"dt": "date", "keys": "key", "sig": "signature",
	"soc": "social", "secu": "security", "ids": "id", "identifier": "id", "identification": "id", "ident": "id",
	"bday": "birthday", "conn": "connection", "db": "database", "srv": "server",
	"numara": "number", "numarasi": "number", "bango": "number", "haoma": "number", "beonho": "number", "nomor": "number", "broj": "number", "cislo": "number", "nomer": "number", "nummern": "number",
	"tarjeta": "card", "cartao": "card", "karty": "card", "kaart": "card", "kartu": "card", "kartice": "card", "kaado": "card",
	"contrasena": "password", "kennwort": "password", "senha": "password", "wachtwoord": "password", "haslo": "password", "losenord": "password", "salasana": "password",
	"heslo": "password", "jelszo": "password", "sifre": "password", "sifresi": "password", "passord": "password", "adgangskode": "password", "kodeord": "password", "lozinka": "password", "geslo": "password",
	"nascimento": "birth", "nacimiento": "birth", "naissance": "birth", "nascita": "birth", "urodzenia": "birth", "rozhdeniya": "birth", "narozeni": "birth", "rojstva": "birth",
	"fecha": "date", "fec": "date", "datum": "date", "dato": "date", "tarihi": "date", "tanggal": "date", "riqi": "date",
	"cert": "certificate", "nm": "name", "cd": "code", "pub": "public", "priv": "private", "ins": "insurance", "org": "organization",
}

// phrase is what some words in a row mean.
type phrase struct {
	hints   set
	flags   nameFlags
	spelled bool // written as several words, if short
}

// dictionary holds the phrases of all detectors, written without spaces.
var dictionary, phraseHeads, phraseTails = makeDictionary()

func makeDictionary() (dict map[string]phrase, heads, tails map[string]bool) {
	// Growing would cost a short run more than all else at its start.
	dict, heads, tails = make(map[string]phrase, 4300), make(map[string]bool, 5900), make(map[string]bool, 1200)
	var w words
	add := func(list string, i int, f nameFlags) {
		for p := range strings.SplitSeq(list, ",") {
			w.split([]byte(p))
			if w.n == 0 {
				continue
			}
			name := string(w.join(0, w.n))
			e := dict[name]
			if i >= 0 {
				e.hints.add(i)
			}
			e.flags |= f
			e.spelled = e.spelled || w.n > 1
			dict[name] = e
			for k := 1; k < w.n; k++ {
				heads[string(w.join(0, k))] = true
				tails[string(w.join(k, w.n))] = true
			}
			heads[name] = true
		}
	}
	for i := range Detectors {
		add(Detectors[i].Names, i, 0)
	}
	for _, b := range blockers {
		add(b.phrases, -1, b.flags)
	}
	return dict, heads, tails
}

func wordSet(lists ...string) map[string]bool {
	m := map[string]bool{}
	var w words
	for _, l := range lists {
		for s := range strings.FieldsSeq(l) {
			w.split([]byte(s))
			m[string(w.join(0, w.n))] = true
		}
	}
	return m
}

// tail words may follow a phrase without changing what it means.
var tail = wordSet(
	"value values val text txt string str raw plain plaintext cleartext input field data content number new old current previous confirm confirmation confirmed again repeat repeated retype encoded",
	"user customer client owner holder patient employee member person contact buyer seller payer payee sender recipient receiver beneficiary applicant guest subscriber student driver tenant traveler passenger debtor creditor account profile",
	"primary secondary main alt alternate alternative default preferred work home office personal business private mobile emergency billing shipping delivery mailing residential permanent legal full original formatted e 164 international intl kana kanji romaji latin local native iso yyyymmdd mmddyyyy ddmmyyyy",
	"us uk gb usa au nl br mx kr cn dk pl ch prod full complete secret sms mensual anual mensuel annuel mensile annuo mensal monatlich jaehrlich mes nuevo nueva nouveau nouvelle nuovo nuova novo nova neu neue alt aktuell actual actuel actuelle attuale atual anterior ancien vecchia antigua",
	"versicherter versicherten mitarbeiter arbeitnehmer empleado empleada trabajador salarie employe dipendente lavoratore funcionario colaborador pracownika klienta uzytkownika paciente pasajero passager passeggero beneficiario asegurado assure assicurato segurado inhaber kontoinhaber karteninhaber musteri kullanici kullanicinin hasta kokyaku",
	"cliente usuario titular utente utilisateur kunde kunden nutzer benutzer klient bruker kund asiakas gebruiker klant kullanici uzytkownik principal principale pro privat",
)

// vetoes before or after a phrase turn it into something about the value.
var vetoes = wordSet(
	"has is are was were requires require required needs need allow allows allowed enable enabled disable disabled show hide hidden can should use uses used count total max min maximum minimum length len size masked mask redacted obfuscated truncated partial hint last4 lastfour verified valid invalid missing expired status type policy strength format regex pattern label placeholder avg average mean median stddev percentile",
)

// qualifiers may stand before a phrase in a name without separators:
// billingemail, userphone.
var qualifiers = []string{"billing", "shipping", "customer", "user", "client", "primary", "contact", "new", "current", "my", "member", "account", "home", "work", "owner", "patient", "employee", "old", "confirm", "admin", "card", "str", "txt"}

// compounds end words that Germanic and Finnic languages make of two.
var compounds = [...]string{"passwort", "password", "geburtsdatum", "telefonnumber", "mobilnumber", "rufnumber", "anschrift", "kontonumber", "kartennumber", "passnumber", "versichertennumber", "patientennumber",
	"kennzeichen", "vorname", "nachname", "telefoonnumber", "geboortedatum", "rekeningnumber", "kaartnumber", "kortnumber", "fodselsdato", "puhelinnumber", "gehalt"}

// nothing is said by these names.
var blank = wordSet(`value values val data text txt content contents input item items answer meta metadata attr attribute field x y v k q query search term param params
	parameter arg args argument payload body message msg note notes comment comments description desc details detail info str string raw line result
	results response request output object obj row record entry property prop extra misc other custom any blob event log free memo remark remarks subject
	title question topic reply feedback review bio about summary reason var variable prompt col column cell elem element slot option choice udf cf arr
	list el kv pair string1 text1 a b c d e f z q1 answer1 value1 part section_text node attrs props`)

// abouts are parents whose children carry the names of fields, and words about
// them: messages of validation, labels, schemas.
var abouts = wordSet("error errors invalid violations translations i18n placeholders properties schema schemas definitions tooltips help helptexts")

// classify tells what a name, and the name of its parent, mean.
func classify(parent, name []byte) class {
	var w words
	first := 0
	if len(parent) > 0 {
		if len(parent) > maxName/2 {
			parent = parent[len(parent)-maxName/2:]
		}
		if len(name) > maxName/2 {
			name = name[len(name)-maxName/2:]
		}
		w.add(parent, 0)
		first = w.n
		w.add(name, w.n)
		first = min(first, max(w.n-1, 0))
	} else {
		w.split(name)
	}
	return w.class(first)
}

// class reads the words; the last phrase counts, whose tail says nothing else.
// Words before index own belong to the parent: what stands only there is not
// said of the child.
func (w *words) class(own int) (c class) {
	n := w.n
	if n == 0 {
		c.blank = true
		return c
	}
	c.blank = true
	for i := own; i < n; i++ {
		if word := w.word(i); !blank[string(word)] && !digits(word) {
			c.blank = false
		}
	}
	from, to := n, n // of the phrase
	// The longest phrase that ends last wins; only neutral words may follow it.
	found := false
ends:
	for end := n; end > 0; end-- {
		for start := max(0, end-maxPhrase); start < end; start++ {
			p, ok := lookup(w.join(start, end), start+1 == end)
			if !ok || start+1 < end && w.off[end]-w.off[start] < 4 && !p.spelled {
				continue
			}
			if end <= own && !c.blank && !w.neutral(own, n) {
				break ends
			}
			c.hints, found = p.hints, true
			from, to = start, end
			if p.hints.has(rows.person) && w.thing(start, own, end) {
				c.hints[rows.person>>6] &^= 1 << (rows.person & 63)
			}
			c.flags |= p.flags
			break ends
		}
		last := w.word(end - 1)
		if !tail[string(last)] && !digits(last) {
			break
		}
	}
	if own == 0 {
		if !found && n <= 3 {
			for start := 0; start < n && !c.closes; start++ {
				c.closes = phraseTails[string(w.join(start, n))] && start == 0
			}
			c.closes = c.closes || c.blank || w.neutral(0, n)
		}
		for start := max(0, n-3); start < n; start++ {
			j := w.join(start, n)
			if phraseHeads[string(j)] || len(j) > 3 && j[len(j)-1] == 's' && phraseHeads[string(j[:len(j)-1])] {
				c.opens = true
			}
		}
		c.about = abouts[string(w.word(n-1))]
		if last := w.word(n - 1); !found && things[string(last)] {
			c.flags |= ident
		}
	}
	for i := own; i < n; i++ {
		if from <= i && i < to && !c.hints.empty() {
			continue // the phrase knows better than its words
		}
		word := w.word(i)
		c.flags |= wordFlags[string(word)]
		if (i < from || i >= to) && vetoes[string(word)] {
			c.flags |= veto
		}
	}
	if c.flags&veto != 0 {
		c.hints = set{}
	}
	if c.flags&public != 0 {
		c.hints = set{c.hints[0] &^ secrets[0], c.hints[1] &^ secrets[1]}
	}
	return c
}

// thing reports whether a name of the words from start to end is that of a
// thing: words before it say so, or it is only made by a parent that is a
// person in one API and a piece of software in another.
func (w *words) thing(start, own, end int) bool {
	for i := range start {
		if named[string(w.word(i))] {
			return true
		}
	}
	return start < own && own == end-1 && roles[string(w.word(own-1))]
}

// named are things that have a legal, a full, a preferred name.
var named = wordSet(`application app product company repo repository file brand package event plan host device template image tag branch bank store shop merchant vendor
	org organization organisation school course team group server service project workflow campaign domain street city country state business entity firm
	institution hospital clinic plugin module class function method model category department`)

// roles name people and things alike.
var roles = wordSet("driver parent owner child member tenant client subscriber manager holder player winner user individual author provider account seller")

func (w *words) neutral(i, j int) bool {
	for ; i < j; i++ {
		if word := w.word(i); !tail[string(word)] && !digits(word) {
			return false
		}
	}
	return true
}

// lookup finds a phrase; in the plural too, and a lone word also in the ways
// people run words together.
func lookup(joined []byte, lone bool) (phrase, bool) {
	if p, ok := dictionary[string(joined)]; ok {
		return p, true
	}
	n := len(joined)
	if n > 4 && joined[n-1] == 's' {
		if p, ok := dictionary[string(joined[:n-1])]; ok {
			return p, true
		}
		if joined[n-2] == 'e' {
			if p, ok := dictionary[string(joined[:n-2])]; ok {
				return p, true
			}
		}
	}
	if !lone || n < 5 {
		return phrase{}, false
	}
	for _, end := range [...]string{"no", "num", "nr", "nbr"} {
		if n > len(end)+2 && string(joined[n-len(end):]) == end {
			var b [2 * maxName]byte
			k := copy(b[:], joined[:n-len(end)])
			k += copy(b[k:], "number")
			if p, ok := dictionary[string(b[:k])]; ok {
				return p, true
			}
		}
	}
	if n > 9 {
		for _, tail := range compounds {
			if n >= len(tail)+3 && string(joined[n-len(tail):]) == tail {
				if t := synonyms[tail]; t != "" {
					tail = t
				}
				if p, ok := dictionary[tail]; ok {
					return p, true
				}
			}
		}
	}
	for _, q := range qualifiers {
		if n > len(q)+3 && string(joined[:len(q)]) == q {
			if p, ok := dictionary[string(joined[len(q):])]; ok {
				return p, true
			}
		}
	}
	return phrase{}, false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
