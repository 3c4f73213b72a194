package endpointtest

import (
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"strings"
)

// kind is how the values of a parameter look.
type kind uint8

const (
	none kind = iota
	small
	large
	snowflake
	uuid
	hexes
	mongo
	nano
	hashid
	prefixed
	ulid
	sid
	slug
	person
	file
	branch
	tag
	sha
	date
	month
	email
	domain
	locale
	country
	version
	label
	camel
)

// ids are what an API may have for identifiers.
var ids = []kind{small, large, snowflake, uuid, hexes, mongo, nano, hashid, prefixed, ulid, sid, small, uuid}

// words are what names may be.
var names = []kind{slug, slug, slug, slug, slug, person, person, person, label}

// named tells the kind by what is in the name of a parameter.
var named = []struct {
	part string
	kind kind
}{
	{"email", email}, {"date", date}, {"day", date}, {"month", month}, {"sha", sha}, {"commit", sha}, {"branch", branch}, {"tag", tag}, {"locale", locale}, {"lang", locale},
	{"country", country}, {"region", slug}, {"version", version}, {"file", file}, {"domain", domain}, {"host", domain}, {"username", person}, {"login", person}, {"user", person},
	{"owner", person}, {"slug", slug}, {"repo", slug}, {"org", slug}, {"project", slug}, {"name", slug}, {"title", slug}, {"label", label}, {"type", slug}, {"symbol", tag},
}

// kind is what a parameter holds. An API has one kind for each name.
func (m *maker) kind(name, before string, schema any) kind {
	key := strings.ToLower(name)
	if key == "id" || key == "name" || key == "key" {
		key = strings.ToLower(before) + "." + key
	}
	if k, ok := m.kinds[key]; ok {
		return k
	}
	k := m.choose(key, schema)
	m.kinds[key] = k
	return k
}

func (m *maker) choose(key string, schema any) kind {
	switch text(at(schema, "format")) {
	case "uuid":
		return uuid
	case "date", "date-time":
		return date
	case "email":
		return email
	}
	switch text(at(schema, "type")) {
	case "integer", "number":
		return []kind{small, small, large, snowflake}[m.r.Intn(4)]
	}
	words := m.r.Float64() < m.style.Words
	if words {
		return names[m.r.Intn(len(names))]
	}
	if !strings.HasSuffix(key, "id") {
		for _, n := range named {
			if strings.Contains(key, n.part) {
				return n.kind
			}
		}
	}
	if m.r.Intn(8) == 0 {
		return ids[m.r.Intn(len(ids))]
	}
	return m.house
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// value is the value of a kind under a key: the same for the same key.
func (m *maker) value(k kind, key string) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%d/%s", m.style.Seed, k, key)
	r := rand.New(rand.NewSource(int64(h.Sum64())))
	draw := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.Intn(len(alphabet))]
		}
		return string(b)
	}
	raw := make([]byte, 20)
	r.Read(raw)
	switch k {
	case small:
		return strconv.Itoa(1 + r.Intn(900))
	case large:
		return strconv.Itoa(10_000 + r.Intn(90_000_000))
	case snowflake:
		return strconv.FormatInt(1<<59+r.Int63n(1<<58), 10)
	case uuid:
		raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
		return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16])
	case hexes:
		return hex.EncodeToString(raw[:8])
	case mongo:
		return hex.EncodeToString(raw[:12])
	case sha:
		return hex.EncodeToString(raw)
	case nano:
		return draw(alphanumeric+"_-", 21)
	case hashid:
		return draw(alphanumeric, 6+int(m.house)%6)
	case prefixed:
		return []string{"cus", "ord", "acct", "in", "sub", "evt"}[int(key[0]+key[len(key)/2])%6] + "_" + draw(alphanumeric, 14)
	case ulid:
		return "01" + base32.HexEncoding.EncodeToString(raw)[:24]
	case sid:
		return "AC" + hex.EncodeToString(raw[:16])
	case person:
		a, b := pick(r, people), pick(r, families)
		return []string{a, a + "." + b, a + "_" + b, a[:1] + b, a + strconv.Itoa(r.Intn(99))}[r.Intn(5)]
	case file:
		return m.word(r) + "." + pick(r, []string{"pdf", "png", "csv", "txt", "jpg", "json"})
	case branch:
		return []string{"main", "develop", "feature/" + m.word(r), "release/" + strconv.Itoa(r.Intn(9)) + ".0", "fix-" + m.word(r)}[r.Intn(5)]
	case tag:
		return strings.ToUpper(pick(r, things)[:3]) + []string{"", "-" + strconv.Itoa(r.Intn(99)), "USD"}[r.Intn(3)]
	case date:
		return fmt.Sprintf("2026-%02d-%02d", 1+r.Intn(12), 1+r.Intn(28))
	case month:
		return fmt.Sprintf("2026-%02d", 1+r.Intn(12))
	case email:
		return pick(r, people) + "." + pick(r, families) + "@example.com"
	case domain:
		return pick(r, qualities) + "-" + pick(r, things) + "." + pick(r, []string{"com", "io", "example.org"})
	case locale:
		return pick(r, []string{"en", "de", "fr", "en-US", "pt-BR", "ja", "es", "zh-Hant", "it", "nl"})
	case country:
		return pick(r, []string{"US", "DE", "FR", "GB", "JP", "BR", "IN", "IT", "ES", "NL", "SE"})
	case version:
		return fmt.Sprintf("%d.%d.%d", r.Intn(9), r.Intn(20), r.Intn(9))
	case label:
		return pick(r, qualities) + " " + pick(r, things)
	case camel:
		w := pick(r, things)
		return pick(r, qualities) + strings.ToUpper(w[:1]) + w[1:]
	}
	return m.word(r)
}

func pick(r *rand.Rand, list []string) string { return list[r.Intn(len(list))] }

func (m *maker) word(r *rand.Rand) string {
	if m.digits && r.Intn(2) == 0 {
		return pick(r, things) + "-" + strconv.Itoa(1+r.Intn(99))
	}
	switch r.Intn(4) {
	case 0:
		return pick(r, things)
	case 1:
		return pick(r, things) + "-" + pick(r, things)
	case 2:
		return pick(r, qualities) + "_" + pick(r, things)
	}
	return pick(r, qualities) + "-" + pick(r, things)
}

var (
	qualities = strings.Fields("amber ancient autumn bold brave bright calm clever coastal cosmic crimson daily dark deep early eager emerald fancy final fresh gentle golden grand happy hidden honest icy jolly kind lively lucky mellow modern neat noble open plain polar proud quick quiet rapid rare round royal rustic salty sharp silent silver simple sleepy small snowy solid spicy steady stormy sunny swift tidy tiny urban vivid warm wild winter wise young")
	things    = strings.Fields("acorn anchor apple arrow badge barn basket beach bell bird boat book bridge brook camera canyon castle cedar cloud coffee comet coral crown dawn desert device dolphin dragon eagle ember falcon feather field fire flower forest fox garden ghost grove harbor hawk hill island jungle kettle lake lantern leaf lemon lily lion maple meadow mirror moon mountain night ocean olive otter owl paper pearl pine planet pond rain raven river rocket rose sail sea shadow shell sky snow spark spring star stone storm stream sun thunder tiger tree valley violet water wave willow wind wolf")
	people    = strings.Fields("adam aisha alice amir andrea anna antonio ben bianca bruno carla carlos chen chloe clara daniel david diego dmitri elena emil emma eric fatima felix fiona george grace hana hannah hugo ines ivan jack james jana jonas julia karim kate kenji laura leila leo liam linda lucas maria marco maya mei mia michael mila nadia nina noah nora oliver omar oscar paula pedro petra priya rahul rosa ruth sam sara sofia stefan tara thomas tom vera victor wei will yuki yusuf zoe")
	families  = strings.Fields("adams ahmed bauer brown chen costa diaz fischer garcia gupta hansen ito jansen khan kim kowalski lee lopez martin meyer moore novak okafor olsen park patel rossi sato schmidt silva singh smith sousa tanaka torres walker wang weber wilson wood yamada young")
)

// body draws a message. Where own is not empty, an id of it is that.
func (m *maker) body(schema any, own, path string) string {
	m.budget = 400
	b, err := json.Marshal(m.example(schema, "", own, path, 0))
	if err != nil {
		return ""
	}
	return string(b)
}

// example draws a value of a schema.
func (m *maker) example(schema any, key, own, path string, depth int) any {
	s, _ := m.resolve(schema).(map[string]any)
	m.budget--
	if all, _ := s["allOf"].([]any); len(all) > 0 {
		o := map[string]any{}
		for _, part := range all {
			if v, _ := m.example(part, key, own, path, depth+1).(map[string]any); v != nil {
				maps.Copy(o, v)
			}
		}
		return o
	}
	for _, k := range []string{"oneOf", "anyOf"} {
		if all, _ := s[k].([]any); len(all) > 0 {
			return m.example(all[m.r.Intn(len(all))], key, own, path, depth+1)
		}
	}
	if e, _ := s["enum"].([]any); len(e) > 0 {
		return e[m.r.Intn(len(e))]
	}
	kind := text(s["type"])
	if kind == "" && s["properties"] != nil {
		kind = "object"
	}
	switch kind {
	case "object":
		return m.object(s, own, path, depth)
	case "array":
		list := []any{}
		if depth > 6 || m.budget < 0 {
			return list
		}
		n := m.r.Intn(4)
		for i := range n {
			mine := ""
			if depth < 3 && m.r.Intn(3) > 0 { // ids that paths use
				mine = m.value(m.house, path+"#"+strconv.Itoa(i))
			}
			list = append(list, m.example(s["items"], key, mine, path, depth+1))
		}
		return list
	case "integer":
		if isID(key) && own != "" {
			if n, err := strconv.Atoi(own); err == nil {
				return n
			}
		}
		return m.r.Intn(100_000)
	case "number":
		return float64(m.r.Intn(100_000)) / 100
	case "boolean":
		return m.r.Intn(2) == 0
	}
	if isID(key) && own != "" {
		return own
	}
	switch text(s["format"]) {
	case "uuid":
		return m.value(uuid, strconv.Itoa(m.r.Int()))
	case "date-time":
		return m.value(date, strconv.Itoa(m.r.Int())) + "T10:00:00Z"
	case "date":
		return m.value(date, strconv.Itoa(m.r.Int()))
	}
	return m.word(m.r) + " " + m.word(m.r)
}

func isID(key string) bool {
	key = strings.ToLower(key)
	switch key {
	case "id", "name", "slug", "key", "login", "uuid", "sid", "code", "username", "email", "number":
		return true
	}
	return false
}

// object draws an object: what is required, half of the rest always, the others
// at times.
func (m *maker) object(s map[string]any, own, path string, depth int) any {
	o := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	if depth > 6 {
		return o
	}
	required := map[string]bool{}
	list, _ := s["required"].([]any)
	for _, name := range list {
		required[text(name)] = true
	}
	told := false
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if m.budget < 0 && !required[name] {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(name))
		if x := h.Sum32(); !required[name] && x%2 == 0 && m.r.Float64() > 0.25+float64(x>>8%64)/100 {
			continue
		}
		mine := ""
		if depth == 0 || depth < 3 && !isID(name) {
			mine = own
		}
		if isID(name) && own != "" && !told {
			mine, told = own, true
		}
		o[name] = m.example(properties[name], name, mine, path, depth+1)
	}
	return o
}
