//go:build conformance

package openapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"hash/fnv"
	"io"
	"math/rand"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"plainsight/analyze/openapi"
)

// slugger draws names for half of the values of paths.
type slugger struct {
	api   string
	known map[string]string
	used  map[string]bool
}

var (
	qualities = strings.Fields("amber ancient autumn bold brave bright calm clever coastal cosmic crimson daily dark deep early eager emerald fancy final fresh gentle golden grand happy hidden honest icy jolly kind lively lucky mellow modern neat noble open plain polar proud quick quiet rapid rare round royal rustic salty sharp silent silver simple sleepy small snowy solid spicy steady stormy sunny swift tidy tiny urban vivid warm wild winter wise young")
	things    = strings.Fields("acorn anchor apple arrow badge barn basket beach bell bird boat book bridge brook camera canyon castle cedar cloud coffee comet coral crown dawn desert device dolphin dragon eagle ember falcon feather field fire flower forest fox garden ghost grove harbor hawk hill island jungle kettle lake lantern leaf lemon lily lion maple meadow mirror moon mountain night ocean olive otter owl paper pearl pine planet pond rain raven river rocket rose sail sea shadow shell sky snow spark spring star stone storm stream sun thunder tiger tree valley violet water wave willow wind wolf")
	people    = strings.Fields("adam aisha alice amir andrea anna antonio ben bianca bruno carla carlos chen chloe clara daniel david diego dmitri elena emil emma eric fatima felix fiona george grace hana hannah hugo ines ivan jack james jana jonas julia karim kate kenji laura leila leo liam linda lucas maria marco maya mei mia michael mila nadia nina noah nora oliver omar oscar paula pedro petra priya rahul rosa ruth sam sara sofia stefan tara thomas tom vera victor wei will yuki yusuf zoe")
	families  = strings.Fields("adams ahmed bauer brown chen costa diaz fischer garcia gupta hansen ito jansen khan kim kowalski lee lopez martin meyer moore novak okafor olsen park patel rossi sato schmidt silva singh smith sousa tanaka torres walker wang weber wilson wood yamada young")
)

// value draws what stands for a value: the same for the same value.
func (s *slugger) value(v string) string {
	if w, ok := s.known[v]; ok {
		return w
	}
	h := fnv.New64a()
	io.WriteString(h, s.api+"\x00"+v)
	r := rand.New(rand.NewSource(int64(h.Sum64())))
	pick := func(list []string) string { return list[r.Intn(len(list))] }
	w := v
	if r.Intn(2) == 0 {
		for try := 0; w == v || s.used[w]; try++ {
			switch r.Intn(8) {
			case 0, 1:
				w = pick(qualities) + "-" + pick(things)
			case 2:
				w = pick(things) + "-" + pick(things) + "-" + strconv.Itoa(1+r.Intn(99))
			case 3:
				w = pick(qualities) + "-" + pick(qualities) + "-" + pick(things)
			case 4:
				w = pick(people)
			case 5:
				w = pick(people) + pick([]string{"_", ".", ""}) + pick(families)
			case 6:
				w = pick(people)[:1] + pick(families)
			case 7:
				w = pick(things)
			}
			if try > 8 {
				w += strconv.Itoa(r.Intn(10000))
			}
		}
		s.used[w] = true
	}
	s.known[v] = w
	return w
}

// pattern finds the values in paths of a template.
func pattern(template string, multi map[string]bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteByte('^')
	for template != "" {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(regexp.QuoteMeta(before))
		if !ok {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		if multi[name] {
			b.WriteString("(.+?)")
		} else {
			b.WriteString("([^/]+?)")
		}
		template = after
	}
	b.WriteString("/?$")
	return regexp.MustCompile(b.String())
}

// slugs writes the traffic of an API without bodies, and with names in the place
// of half of its values.
func slugs(t *testing.T, api, to string) (redrawn, values int) {
	t.Helper()
	dir := shared(t)
	var truth struct {
		Endpoints []struct {
			ID         int
			Template   string
			PathParams []struct {
				Name     string
				Enum     []string
				Multi    bool
				Distinct int
			}
		}
	}
	unpack := func(name string) []byte {
		f, err := os.Open(filepath.Join(dir, "truth", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err := json.Unmarshal(unpack(api+".json.gz"), &truth); err != nil {
		t.Fatal(err)
	}
	type way struct {
		pattern *regexp.Regexp
		fixed   []bool
	}
	ways := map[int]way{}
	lone := map[string]int{} // how many values a parameter of this name has
	for _, e := range truth.Endpoints {
		multi := map[string]bool{}
		var fixed []bool
		for _, p := range e.PathParams {
			multi[p.Name] = p.Multi
			if lone[p.Name] = max(lone[p.Name], p.Distinct); os.Getenv("SLUGS_ALL") != "" {
				lone[p.Name] = 2
			}
			fixed = append(fixed, len(p.Enum) > 0 || p.Multi)
		}
		ways[e.ID] = way{pattern(e.Template, multi), fixed}
	}
	for _, e := range truth.Endpoints {
		for i, p := range e.PathParams {
			if lone[p.Name] < 2 {
				ways[e.ID].fixed[i] = true
			}
		}
	}
	labels := strings.Fields(string(unpack(api + ".labels.gz")))
	f, err := os.Open(filepath.Join(dir, "traffic", api+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(to, "traffic", api+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	zip := gzip.NewWriter(out)
	in := bufio.NewReaderSize(z, 1<<20)
	s := &slugger{api: api, known: map[string]string{}, used: map[string]bool{}}
	for i := 0; ; i++ {
		text, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) == 0 {
			break
		}
		var l map[string]any
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatal(err)
		}
		l["reqBody"], l["respBody"] = "", ""
		id, convErr := strconv.Atoi(labels[i])
		if convErr != nil {
			t.Fatal(convErr)
		}
		if w, ok := ways[id]; ok {
			path := l["path"].(string)
			if m := w.pattern.FindStringSubmatchIndex(path); m != nil {
				var b strings.Builder
				from := 0
				for j := 1; j*2 < len(m); j++ {
					a, z := m[2*j], m[2*j+1]
					v := path[a:z]
					if j-1 < len(w.fixed) && !w.fixed[j-1] {
						values++
						if n := s.value(v); n != v {
							redrawn++
							v = url.PathEscape(n)
						}
					}
					b.WriteString(path[from:a] + v)
					from = z
				}
				l["path"] = b.String() + path[from:]
			}
		}
		line, merr := json.Marshal(l)
		if merr != nil {
			t.Fatal(merr)
		}
		zip.Write(append(line, '\n'))
		if err != nil {
			break
		}
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return redrawn, values
}

// Traffic that shows no bodies, half of whose values are slugs and names of
// people, is still sorted into its endpoints. Values of a parameter that has but
// one in all of the traffic stay as they are: as a word it would be a name to
// anyone. SLUGS_ALL draws for those, too; SLUGS keeps data and documents.
func TestSlugs(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("SLUGS"); keep != "" {
		dir = keep
	}
	for _, d := range []string{"traffic", "pred"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(shared(t), "truth"), filepath.Join(dir, "truth")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	redrawn, values := 0, 0
	for _, file := range traffic(t) {
		api := strings.TrimSuffix(filepath.Base(file), ".jsonl.gz")
		r, v := slugs(t, api, dir)
		redrawn, values = redrawn+r, values+v
		w := &worker{services: map[string]*tree{}}
		lines := read(t, filepath.Join(dir, "traffic", api+".jsonl.gz"))
		for i := range lines {
			w.learn(&lines[i])
		}
		pred := filepath.Join(dir, "pred", api)
		if err := os.MkdirAll(pred, 0o755); err != nil {
			t.Fatal(err)
		}
		for host, list := range w.endpoints() {
			doc, err := openapi.Document(host, list)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(pred, strings.ReplaceAll(host, ":", "_")+".json"), doc, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of %d values in paths are redrawn", redrawn, values)
	cmd := exec.Command("go", "run", ".", "-data", dir, "-pred", filepath.Join(dir, "pred"), "-json")
	cmd.Dir = filepath.Join(shared(t), "score")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var scores map[string]map[string]float64
	if err := json.Unmarshal(out, &scores); err != nil {
		t.Fatal(err)
	}
	for api, s := range scores {
		t.Logf("%-14s grouping accuracy %.4f, F1 %.4f, precision %.4f, recall %.4f", api, s["grouping_accuracy"], s["template_f1"], s["template_precision"], s["template_recall"])
	}
	if ga := scores["mean"]["grouping_accuracy"]; ga < 0.88 {
		t.Errorf("grouping accuracy is %.4f, below 0.88", ga)
	}
}
