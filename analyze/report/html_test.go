package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"

	"plainsight/analyze"
)

// census counts elements by name and names of attributes, and says what must
// never be in a page.
func census(t *testing.T, page []byte) map[string]int {
	t.Helper()
	n := map[string]int{}
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return n
		}
		if kind == html.CommentToken {
			t.Errorf("a comment: %.80q", z.Token().Data)
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		tag := z.Token()
		names := []string{tag.Data}
		for _, a := range tag.Attr {
			names = append(names, a.Key)
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "style", a.Key == "srcdoc", a.Key == "action":
				t.Errorf("<%s> has the attribute %s=%.80q", tag.Data, a.Key, a.Val)
			case strings.HasSuffix(a.Key, "href") && !strings.HasPrefix(a.Val, "#") && !(tag.Data == "link" && strings.HasPrefix(a.Val, "data:image/svg+xml,")):
				t.Errorf("<%s> points to %.80q", tag.Data, a.Val)
			case a.Key == "href" && strings.Trim(a.Val, "#abcdefghijklmnopqrstuvwxyz0123456789") != "" && tag.Data == "a":
				t.Errorf("a link made of text: %.80q", a.Val)
			case a.Key == "id" && strings.Trim(a.Val, "-abcdefghijklmnopqrstuvwxyz0123456789") != "":
				t.Errorf("an id made of text: %.80q", a.Val)
			}
		}
		n[strings.Join(names, " ")]++
	}
}

// sameElements fails where hostile text made, lost or changed an element.
func sameElements(t *testing.T, hostile, harmless []byte) {
	t.Helper()
	got, want := census(t, hostile), census(t, harmless)
	for names, n := range want {
		if got[names] != n {
			t.Errorf("%d of <%s>, want %d", got[names], names, n)
		}
	}
	for names, n := range got {
		if want[names] == 0 {
			t.Errorf("%d of <%s>, which the page does not have", n, names)
		}
	}
}

func TestHostileTextIsTextInThePage(t *testing.T) {
	sameElements(t, write(t, "html", hostile(), Options{}), write(t, "html", harmless(), Options{}))
}

func TestPagePermitsItsOwnStyleAndScriptOnly(t *testing.T) {
	page := string(write(t, "html", shop(), Options{}))
	between := func(open, close string) string {
		_, rest, ok := strings.Cut(page, open)
		text, _, ok2 := strings.Cut(rest, close)
		if !ok || !ok2 {
			t.Fatalf("no %s", open)
		}
		return text
	}
	policy := html.UnescapeString(between(`http-equiv="Content-Security-Policy" content="`, `"`))
	for what, text := range map[string]string{"style-src": between("<style>", "</style>"), "script-src": between("<script>", "</script>")} {
		sum := sha256.Sum256([]byte(text))
		if want := what + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(policy, want) {
			t.Errorf("policy %q is without %q", policy, want)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy is %q", policy)
	}
	if strings.Index(page, "Content-Security-Policy") > strings.Index(page, "<style>") {
		t.Error("the policy comes after what it rules")
	}
}

// Without its script the page has everything and no tool that does nothing.
func TestPageWorksWithoutScript(t *testing.T) {
	s := shop()
	page := string(write(t, "html", s, Options{}))
	if strings.Count(page, `<div class="tools"`) != strings.Count(page, ` hidden>`) {
		t.Error("a tool shows without the script that makes it work")
	}
	for i := range s.Findings {
		for _, text := range []string{s.Findings[i].Title, s.Findings[i].Why, s.Findings[i].Fix, s.Findings[i].Key} {
			if !strings.Contains(html.UnescapeString(page), text) {
				t.Errorf("no %q", text)
			}
		}
	}
	for i := range s.Endpoints {
		for _, f := range s.Endpoints[i].Fields {
			if !strings.Contains(html.UnescapeString(page), f.Path) {
				t.Errorf("no field %q", f.Path)
			}
		}
	}
	if !strings.Contains(string(write(t, "html", silent(), Options{})), "No HTTP was seen") {
		t.Error("a capture without HTTP gets no explanation")
	}
}

// A page of 2,000 endpoints and findings stays of a size that a browser opens.
func TestLargePage(t *testing.T) {
	if n := len(write(t, "html", many(2000), Options{})); n > 24<<20 {
		t.Errorf("%d bytes", n)
	}
	s := shop()
	for range 10_000 {
		s.Endpoints[0].Fields = append(s.Endpoints[0].Fields, analyze.Field{Path: "$.x", Types: []string{"string"}})
	}
	page := string(write(t, "html", s, Options{}))
	if n := strings.Count(page, "$.x<"); n != pageFields {
		t.Errorf("%d fields, want %d", n, pageFields)
	}
	if !strings.Contains(page, "9,800 more fields") {
		t.Error("the page does not say that fields are left out")
	}
	s = shop()
	for i := range 4 * pageFindings {
		e := analyze.Endpoint{Service: "s", Method: "GET", Template: strconv.Itoa(i), Sensitive: s.Endpoints[2].Sensitive}
		s.Endpoints, s.Findings = append(s.Endpoints, e), append(s.Findings, s.Findings[0])
		s.Edges, s.Sessions = append(s.Edges, s.Edges[0]), append(s.Sessions, s.Sessions[0])
	}
	page = string(write(t, "html", s, Options{}))
	for class, want := range map[string]int{`<details class="finding`: pageFindings, `<details class="endpoint`: pageEndpoints} {
		if n := strings.Count(page, class); n != want {
			t.Errorf("%d of %s, want %d", n, class, want)
		}
	}
	for _, text := range []string{"15,010 more findings", "17,007 more endpoints with fewer requests", "19,004 more endpoints:", "19,003 more edges", "19,002 more rows"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say: … and %s", text)
		}
	}
}

// browse loads a page in headless Chromium, all of whose requests go to a
// server of ours as their proxy, and returns the document as it was in the end,
// the lines of the console (violations of the policy among them) and the
// requests beyond the pages given.
func browse(t *testing.T, open string, pages map[string][]byte) (document []byte, console, requests []string) {
	t.Helper()
	var binary string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Fatal("no Chromium to test the page in: make deps")
	}
	var lock sync.Mutex
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if host, _, err := net.SplitHostPort(r.Host); ok && err == nil && host == "127.0.0.1" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(page)
			return
		}
		lock.Lock()
		requests = append(requests, r.Method+" "+r.Host+r.URL.Path)
		lock.Unlock()
		http.Error(w, "no", http.StatusNotFound)
	}))
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, binary, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-domain-reliability", "--user-data-dir="+t.TempDir(), "--proxy-server="+web.Listener.Addr().String(), "--proxy-bypass-list=<-loopback>",
		"--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", web.URL+open)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children end with it
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", binary, err, log.Bytes())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, strings.TrimSpace(line))
		}
	}
	lock.Lock()
	defer lock.Unlock()
	// What Chromium asks of its maker has nothing to do with the page.
	requests = slices.DeleteFunc(requests, func(r string) bool {
		return strings.Contains(r, ".google.com") || strings.Contains(r, ".googleapis.com") || strings.Contains(r, ".gvt1.com")
	})
	return out.Bytes(), console, requests
}

func TestBrowserFindsNothingToRunOrFetch(t *testing.T) {
	hostilePage := write(t, "html", hostile(), Options{})
	document, console, requests := browse(t, "/", map[string][]byte{"/": hostilePage})
	if len(document) < len(hostilePage)/2 {
		t.Fatalf("the document is cut: %d bytes of %d", len(document), len(hostilePage))
	}
	for _, line := range console {
		t.Errorf("console: %s", line)
	}
	for _, r := range requests {
		t.Errorf("request: %s", r)
	}
	harmlessDocument, _, _ := browse(t, "/", map[string][]byte{"/": write(t, "html", harmless(), Options{})})
	sameElements(t, document, harmlessDocument)
}

// The test above can fail: a page that breaks out of its policy is noticed.
func TestBrowserTellsOfAViolation(t *testing.T) {
	page := []byte(`<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src 'none'">
<p>x</p><script>alert(1)</script><img src="http://evil.example/x.png">`)
	_, console, requests := browse(t, "/", map[string][]byte{"/": page})
	if !strings.Contains(strings.Join(console, "\n"), "Content Security Policy") {
		t.Errorf("no violation in the console: %q", console)
	}
	if !slices.Contains(requests, "GET evil.example/x.png") {
		t.Errorf("requests: %q", requests)
	}
}

// A person types, unticks and follows a link.
func TestFiltersOfThePage(t *testing.T) {
	const harness = `<!doctype html><title>a person</title><iframe id="page" width="1200" height="900"></iframe><pre id="result"></pre>
<script>
const frame = document.getElementById("page"), said = [];
frame.onload = () => {
  frame.onload = null;
  const page = frame.contentDocument, window = frame.contentWindow;
  const visible = () => page.querySelectorAll("#finding-list > details:not([hidden])").length;
  const tools = page.querySelector(".tools[data-of=finding-list]"), search = tools.querySelector("input[type=search]");
  const type = text => { search.value = text; search.dispatchEvent(new window.Event("input")); };
  said.push("tools " + !tools.hidden, "all " + visible());
  type("BEARER token"); said.push("bearer " + visible(), tools.querySelector("output").value);
  type("no such thing"); said.push("none " + visible());
  type(""); said.push("again " + visible());
  const high = tools.querySelector("input[value=high]"); high.checked = false; high.dispatchEvent(new window.Event("change"));
  said.push("without high " + visible());
  tools.querySelector("button").click(); said.push("open " + page.querySelectorAll("#finding-list > details[open]").length);
  const ends = page.querySelector(".tools[data-of=endpoint-list] input"); ends.value = "credit_card"; ends.dispatchEvent(new window.Event("input"));
  said.push("endpoints " + page.querySelectorAll("#endpoint-list details:not([hidden])").length, "services " + page.querySelectorAll("#endpoint-list > div:not([hidden])").length);
  page.dispatchEvent(new window.KeyboardEvent("keydown", {key: "/", bubbles: true})); said.push("focus " + page.activeElement.type);
  window.addEventListener("hashchange", () => {
    said.push("link opens " + page.getElementById("e3").open);
    document.getElementById("result").textContent = said.join("; ");
  });
  page.querySelector("a[href='#e3']").click();
};
frame.src = "/page";
</script>`
	document, console, requests := browse(t, "/", map[string][]byte{"/": []byte(harness), "/page": write(t, "html", shop(), Options{})})
	_, result, _ := strings.Cut(string(document), `<pre id="result">`)
	result, _, _ = strings.Cut(result, "</pre>")
	want := "tools true; all 10; bearer 3; 3 of 10 shown; none 0; again 10; without high 4; open 4; endpoints 1; services 1; focus search; link opens true"
	if result != want {
		t.Errorf("the page did\n%s\nwant\n%s\nconsole %q", result, want, console)
	}
	for _, r := range requests {
		if !strings.HasSuffix(r, "/favicon.ico") { // of the harness
			t.Errorf("request: %s", r)
		}
	}
}

func BenchmarkFormats(b *testing.B) {
	s := many(2000)
	for _, f := range Formats() {
		b.Run(f.Name, func(b *testing.B) {
			var n countWriter
			for b.Loop() {
				n = 0
				if err := f.Write(&n, s, Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(n))
		})
	}
}

type countWriter int64

func (n *countWriter) Write(b []byte) (int, error) {
	*n += countWriter(len(b))
	return len(b), nil
}
