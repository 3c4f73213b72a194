package posture

import (
	"fmt"
	"testing"

	"plainsight/analyze"
)

// logins makes n logins, a second apart.
func logins(n, status int, path string, account func(i int) int, from string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: fmt.Sprintf("POST %s HTTP/1.1\n\n{\"username\":\"user-%d\"}\n---\n%d", path, account(i), status), from: from})
	}
	return list
}

func same(int) int    { return 7 }
func other(i int) int { return i }

// join puts conversations one after the other.
func join(lists ...[]talk) (all []talk) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// paths asks for n paths, a second apart.
func paths(n, status int, form, from string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: fmt.Sprintf("GET "+form+" HTTP/1.1\n---\n%d", i, status), from: from})
	}
	return list
}

var windowSequences = []sequence{
	{rule: "login.brute", fires: [][]talk{
		logins(10, 401, "/login", same, ""), logins(40, 403, "/api/signin", same, foreign), logins(12, 401, "/auth/otp", same, ""),
		join(logins(10, 401, "/login", same, ""), logins(30, 401, "/login", other, "")), join(logins(5, 200, "/login", same, ""), logins(11, 401, "/sessions", same, "")),
	}, worst: analyze.Medium, silent: [][]talk{
		logins(9, 401, "/login", same, ""), logins(40, 401, "/login", other, ""), logins(40, 401, "/orders", same, ""),
		join(logins(12, 401, "/login", same, ""), logins(3, 429, "/login", same, "")), logins(40, 200, "/login", same, ""), logins(40, 400, "/login", same, ""),
	}},
	{rule: "login.stuffing", fires: [][]talk{
		logins(60, 401, "/login", other, foreign), logins(600, 403, "/login", other, ""), join(logins(60, 401, "/login", other, ""), logins(3, 200, "/login", other, "")),
		logins(100, 401, "/v1/sign-in", other, ""), join(logins(50, 200, "/login", same, loop), logins(60, 401, "/login", other, foreign)),
	}, worst: analyze.High, silent: [][]talk{
		logins(19, 401, "/login", other, ""), logins(100, 401, "/login", same, ""), logins(100, 200, "/login", other, ""),
		join(logins(60, 200, "/login", other, ""), logins(30, 401, "/login", other, "")), logins(60, 401, "/orders", other, ""),
	}},
	{rule: "test.scanner", fires: [][]talk{
		paths(90, 404, "/x%d", foreign), paths(90, 405, "/x%d", ""), paths(200, 404, "/a/%d/b", ""), paths(90, 501, "/%d.php", foreign), paths(90, 404, "/x%d", loop),
	}, worst: analyze.Medium, silent: [][]talk{
		paths(29, 404, "/x%d", foreign), paths(90, 200, "/x%d", ""), paths(90, 404, "/x?page=%d", ""), paths(90, 401, "/x%d", ""), paths(90, 500, "/x%d", ""),
	}},
}

func TestHowBadItIsDependsOnHowItEnds(t *testing.T) {
	in := append(logins(12, 401, "/login", same, ""), logins(1, 200, "/login", same, "")...)
	if f := find(conclude(t, "/login", in...), "login.brute"); f == nil || f.Severity != analyze.High {
		t.Errorf("%+v", f)
	}
	f := find(conclude(t, "/", paths(90, 405, "/x%d", "")...), "test.scanner")
	if f == nil || f.Severity != analyze.Info {
		t.Errorf("one's own test: %+v", f)
	}
}
