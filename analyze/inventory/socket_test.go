package inventory

import (
	"fmt"
	"slices"
	"testing"

	"plainsight/analyze"
	"plainsight/capture"
)

func TestMessagesOfWebSocketsAreLookedInto(t *testing.T) {
	var want string
	for _, shards := range []int{1, 3} {
		in := New(Options{Key: analyze.Key{1}})
		for i := range uint64(60) {
			x := talk(i, "10.0.0.7", "10.1.0.1:80", fmt.Sprintf("GET /rooms/%d/chat HTTP/1.1\nHost: chat.example\nUpgrade: websocket\n\n---\n101\nUpgrade: websocket\n", i))
			w := in.Worker(int(x.Conn.ID % uint64(shards)))
			w.Exchange(x)
			for j, text := range []string{
				fmt.Sprintf(`{"type":"login","user":{"password":"hunter2-%d!x"}}`, i), fmt.Sprintf(`42/chat,7["message",{"email":"jo%d@mail.example.org"}]`, i), `a["{\"card_number\":\"4111111111111111\"}"]`, `just words`, ``,
				"MESSAGE\ndestination:/x\n\n{\"ssn\":\"412-55-2231\"}\x00",
			} {
				w.(capture.Listener).WebSocketMessage(&capture.WebSocketMessage{Conn: x.Conn, Dir: capture.Dir(min(j, 1)), At: x.Response.End, Authority: x.Authority, Target: x.Target, Text: capture.Text(text)})
			}
			w.WebSocket(&capture.WebSocket{Conn: x.Conn, Messages: [2]uint64{1, 6}})
		}
		s := in.Snapshot(nil, nil)
		if got := marshal(t, s); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%d shards say something else", shards)
		}
		if len(s.Endpoints) != 1 || s.Endpoints[0].Requests != 60 {
			t.Fatalf("%d endpoints: %+v", len(s.Endpoints), s.Endpoints)
		}
		e := s.Endpoints[0]
		var found []string
		for _, v := range e.Sensitive {
			found = append(found, v.Kind+" "+v.Place.String())
		}
		for _, want := range []string{"password request message $.user.password", "email response message $[].email", "us_ssn response message $.ssn"} {
			if !slices.Contains(found, want) {
				t.Errorf("no %s in %q", want, found)
			}
		}
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, f.Side.String()+" "+string(f.Where)+" "+f.Path)
		}
		for _, want := range []string{"request message $.user.password", "response message $[].email"} {
			if !slices.Contains(fields, want) {
				t.Errorf("no %s in %q", want, fields)
			}
		}
		found = nil
		for _, f := range s.Findings {
			found = append(found, f.Rule+" "+f.Endpoint+" "+f.Place)
		}
		for _, want := range []string{"enc.clear-credential GET /rooms/{room_id}/chat request message $.user.password", "enc.clear-sensitive GET /rooms/{room_id}/chat response message $.ssn"} {
			if !slices.Contains(found, want) {
				t.Errorf("no %s in %q", want, found)
			}
		}
		for _, c := range s.Coverage.Counts {
			if c.Name == "inventory_websocket_unread" && c.Value != 60 {
				t.Errorf("%d messages are said not to be looked into, one of each stream was binary", c.Value)
			}
		}
	}
}

// A message whose handshake was no success, or was not seen, is judged all the
// same.
func TestAMessageOfNowhereIsNotLost(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	x := talk(1, "10.0.0.7", "10.1.0.1:80", "GET /chat HTTP/1.1\nHost: chat.example\n")
	in.Worker(0).(capture.Listener).WebSocketMessage(&capture.WebSocketMessage{Conn: x.Conn, At: x.Request.Start, Authority: x.Authority, Target: x.Target, Text: capture.Text(`{"password":"hunter2-9!x"}`)})
	if s := in.Snapshot(nil, nil); !slices.ContainsFunc(s.Findings, func(f analyze.Finding) bool {
		return f.Rule == "enc.clear-credential" && f.Place == "request message $.password"
	}) {
		t.Errorf("%+v", s.Findings)
	}
}

func TestAKnownMessageAllocatesNothing(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	x := talk(1, "10.0.0.7", "10.1.0.1:80", "GET /chat HTTP/1.1\nHost: chat.example\n---\n101\n")
	w := in.Worker(0)
	w.Exchange(x)
	m := &capture.WebSocketMessage{Conn: x.Conn, At: x.Request.Start, Authority: x.Authority, Target: x.Target, Text: capture.Text(`{"type":"tick","prices":[1,2,3],"open":true}`)}
	if n := testing.AllocsPerRun(100, func() { w.(capture.Listener).WebSocketMessage(m) }); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}
