package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/capture"
)

func rpc(body, answer string) string {
	return "POST /api HTTP/1.1\nHost: rpc.example\nContent-Type: application/json\n\n" + body + "\n---\n200\nContent-Type: application/json\n\n" + answer
}

func graph(body, answer string) string {
	return "POST /graphql HTTP/1.1\nHost: graph.example\nContent-Type: application/json\n\n" + body + "\n---\n200\nContent-Type: application/json\n\n" + answer
}

// operationTraffic is of one path for each style, with failures before and after
// the first success of an operation.
func operationTraffic(n int) (list []*capture.Exchange) {
	for i := range n {
		var text string
		switch i % 12 {
		case 0:
			text = graph(fmt.Sprintf(`{"query":"query GetUser($id: ID!) { user(id: $id) { email } }","variables":{"id":"%d"}}`, i), fmt.Sprintf(`{"data":{"user":{"email":"jo%d@mail.example.org"}}}`, i))
		case 1:
			text = graph(`{"query":"mutation AddCard($c: C!) { addCard(c: $c) { id } }","variables":{"card":{"number":"4111111111111111"}}}`, `{"data":{"addCard":{"id":7}}}`)
		case 2:
			text = graph(`{"query":"query GetUser { nothing }"}`, `{"errors":[{"message":"no"}]}`)
		case 3:
			text = graph(fmt.Sprintf(`{"query":"query Made%cUp { a }"}`, 'A'+i%7), `{"errors":[{"message":"no"}]}`)
		case 4:
			text = graph(`[{"query":"query GetUser {a}"},{"query":"query Orders {b}"}]`, `[{"data":{"a":1}},{"data":{"b":1}}]`)
		case 5:
			text = rpc(fmt.Sprintf(`{"jsonrpc":"2.0","method":"orders.get","params":{"id":%d},"id":%d}`, i, i), fmt.Sprintf(`{"jsonrpc":"2.0","result":{"total":%d},"id":%d}`, i, i))
		case 6:
			text = rpc(`{"jsonrpc":"2.0","method":"orders.list","id":1}`, `{"jsonrpc":"2.0","result":[1,2],"id":1}`)
		case 7:
			text = rpc(`{"jsonrpc":"2.0","method":"nope","id":1}`, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}`)
		case 8:
			text = "POST /soap HTTP/1.1\nHost: soap.example\nSOAPAction: \"urn:shop#GetPrice\"\nContent-Type: text/xml\n\n<Envelope><Body><GetPrice><item>tea</item></GetPrice></Body></Envelope>\n---\n200\nContent-Type: text/xml\n\n<Envelope><Body><Price>7</Price></Body></Envelope>"
		case 9:
			text = "POST /shop.v1.Orders/Get HTTP/1.1\nHost: grpc.example\nContent-Type: application/grpc\n\n\x00\x00\x00\x00\x02\x08\x01\n---\n200\nContent-Type: application/grpc\n\n\x00\x00\x00\x00\x02\x08\x01"
		case 10:
			text = "POST /graphql HTTP/1.1\nHost: graph.example\nContent-Type: application/json\n\n{\"query\":\"query Late {x}\"}\n---\n500\n"
		case 11:
			text = graph(`{"query":"query Late {x}"}`, `{"data":{"x":1}}`)
		}
		list = append(list, talk(uint64(i), fmt.Sprintf("10.0.0.%d", i%50+1), "10.1.0.1:80", text))
	}
	return list
}

func TestOperationsOfOnePathAreEndpoints(t *testing.T) {
	var want string
	for _, shards := range []int{1, 2, 5} {
		var rows []analyze.Call
		in := New(Options{Key: analyze.Key{1}, Calls: func(c []analyze.Call) { rows = append(rows, c...) }})
		play(in, shards, operationTraffic(1200))
		s := in.Snapshot(nil, nil)
		var names []string
		known := map[string]bool{"graph.example POST ": true, "rpc.example POST ": true}
		for _, e := range s.Endpoints {
			known[e.Service+" "+e.Name()] = true
			names = append(names, fmt.Sprintf("%s %s %s %d", e.Style, e.Service, e.Name(), e.Requests))
		}
		// What failed without a success anywhere is none; the members of a batch count
		// for each.
		if got := strings.Join(names, "\n"); got != strings.TrimSpace(`
graphql graph.example POST /graphql (batch) 100
graphql graph.example POST /graphql AddCard 100
graphql graph.example POST /graphql GetUser 300
graphql graph.example POST /graphql Late 200
graphql graph.example POST /graphql Orders 100
grpc grpc.example POST /shop.v1.Orders/Get 100
json-rpc rpc.example POST /api orders.get 100
json-rpc rpc.example POST /api orders.list 100
soap soap.example POST /soap GetPrice 100`) {
			t.Fatalf("%d shards:\n%s", shards, got)
		}
		if s.Coverage.Noise != 200 {
			t.Errorf("%d exchanges are said to be of no endpoint, 200 failed", s.Coverage.Noise)
		}
		for _, r := range rows {
			if !known[r.Service+" "+analyze.EndpointName(r.Method, r.Template, r.Operation)] {
				t.Fatalf("a row is of %s %s %q, which is no endpoint", r.Service, r.Template, r.Operation)
			}
		}
		if got := marshal(t, s); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%d shards say something else", shards)
		}
		if shards > 1 {
			continue
		}
		for _, e := range s.Endpoints {
			var fields []string
			for _, f := range e.Fields {
				fields = append(fields, f.Path)
			}
			kinds := func(kind string) bool {
				return slices.ContainsFunc(e.Sensitive, func(v analyze.Sensitive) bool { return v.Kind == kind })
			}
			switch e.Operation {
			case "GetUser":
				if !slices.Contains(fields, "$.data.user.email") || slices.Contains(fields, "$.data.addCard") || !kinds("email") || kinds("credit_card") {
					t.Errorf("GetUser has %q and %v", fields, e.Sensitive)
				}
			case "AddCard":
				if !slices.Contains(fields, "$.variables.card.number") || !kinds("credit_card") || kinds("email") {
					t.Errorf("AddCard has %q and %v", fields, e.Sensitive)
				}
			}
		}
		if !slices.ContainsFunc(s.Findings, func(f analyze.Finding) bool {
			return f.Rule == "enc.clear-sensitive" && f.Endpoint == "POST /graphql AddCard" && f.Place == "request body $.variables.card.number"
		}) {
			t.Error("the card in the clear is not found at its operation")
		}
	}
}

// A client that makes names up crowds nobody out, and what it costs is bounded.
func TestMadeUpOperationsAreBounded(t *testing.T) {
	for _, failing := range []bool{true, false} {
		in := New(Options{Key: analyze.Key{1}, Operations: 100})
		w := in.Worker(0).(*worker)
		for i := range 20_000 {
			answer := `{"data":{"x":1}}`
			if failing {
				answer = `{"errors":[{"message":"no"}]}`
			}
			w.Exchange(talk(uint64(i), "10.0.0.1", "10.1.0.1:80", graph(fmt.Sprintf(`{"query":"query N%c%c%c%c {x}"}`, 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'A'+i/17576), answer)))
			if i%100 == 0 {
				w.Exchange(talk(uint64(i), "10.0.0.2", "10.1.0.1:80", graph(`{"query":"query Real {x}"}`, `{"data":{"x":1}}`)))
			}
		}
		if w.state.records > 400 {
			t.Errorf("%d records", w.state.records)
		}
		s := in.Snapshot(nil, nil)
		requests, counted := uint64(0), false
		var named []string
		for _, e := range s.Endpoints {
			requests += e.Requests
			if e.Operation != "" {
				named = append(named, e.Operation)
			}
		}
		for _, c := range s.Coverage.Counts {
			counted = counted || c.Name == "inventory_operation_limit"
		}
		if n := requests + s.Coverage.Noise; n != 20_200 {
			t.Errorf("%d requests, 20,200 were sent", n)
		}
		if failing && !slices.Equal(named, []string{"Real"}) {
			t.Errorf("operations: %q", named)
		}
		if len(named) > 100 || !counted {
			t.Errorf("%d operations, the limit is 100; counted: %v", len(named), counted)
		}
	}
}

// A method that a server of gRPC does not have is no endpoint.
func TestAnUnknownMethodOfGRPCIsNone(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	for i, status := range []int{0, unimplemented} {
		x := talk(uint64(i), "10.0.0.1", "10.1.0.1:80", fmt.Sprintf("POST /shop.v1.Orders/M%d HTTP/1.1\nHost: g\nContent-Type: application/grpc\n\n\n---\n200\nContent-Type: application/grpc\n\n", i))
		x.GRPC = &capture.GRPC{Status: status}
		in.Worker(0).Exchange(x)
	}
	if s := in.Snapshot(nil, nil); len(s.Endpoints) != 1 || s.Endpoints[0].Template != "/shop.v1.Orders/M0" {
		t.Errorf("%+v", s.Endpoints)
	}
}
