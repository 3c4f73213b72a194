package openapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/openapi"
)

// Types of Postman's collection format 2.1, as far as we write it: what is not
// named here must not be written, and what its schema requires is checked.
type (
	collection struct {
		Info struct {
			Name, Description string
			Schema            string
		}
		Item     []item
		Variable []pair
	}
	item struct {
		Name    string
		Item    []item
		Request *struct {
			Method string
			Header []pair
			URL    struct {
				Raw             string
				Host, Path      []string
				Query, Variable []pair
			}
			Body *struct {
				Mode, Raw            string
				URLEncoded, FormData []pair
				Options              map[string]map[string]string
			}
			Auth *struct {
				Type                  string
				Bearer, Basic, APIKey []pair
			}
		}
		Response *[]struct{}
	}
	pair struct {
		Key, Value, Description, Type *string
		Disabled                      bool
	}
)

func (i *item) valid() error {
	switch {
	case i.Name == "":
		return errors.New("an item without a name")
	case (i.Item == nil) == (i.Request == nil):
		return fmt.Errorf("%s is neither a folder nor a request, or both", i.Name)
	}
	for j := range i.Item {
		if err := i.Item[j].valid(); err != nil {
			return err
		}
	}
	if i.Item != nil {
		return nil
	}
	r := i.Request
	switch {
	case i.Response == nil, r.Method == "", r.URL.Raw == "", r.URL.Host == nil, r.URL.Path == nil:
		return fmt.Errorf("%s lacks something", i.Name)
	case r.Body != nil && !strings.Contains(" raw urlencoded formdata ", " "+r.Body.Mode+" "):
		return fmt.Errorf("%s has a body of mode %q", i.Name, r.Body.Mode)
	case r.Auth != nil && !strings.Contains(" bearer basic apikey ", " "+r.Auth.Type+" "):
		return fmt.Errorf("%s authenticates by %q", i.Name, r.Auth.Type)
	}
	lists := [][]pair{r.Header, r.URL.Query, r.URL.Variable}
	if r.Body != nil {
		lists = append(lists, r.Body.URLEncoded, r.Body.FormData)
	}
	if r.Auth != nil {
		lists = append(lists, r.Auth.Bearer, r.Auth.Basic, r.Auth.APIKey)
	}
	for _, list := range lists {
		for _, p := range list {
			if p.Key == nil || p.Value == nil {
				return fmt.Errorf("%s has a pair without key or value", i.Name)
			}
		}
	}
	return nil
}

func TestPostman(t *testing.T) {
	form := analyze.Endpoint{Service: "api.shop.example", Method: "POST", Template: "/v1/reports/{report_id}.json", Requests: 2, Auth: map[string]uint64{"apikey:query:key": 2},
		Parameters: []analyze.Field{{Where: analyze.InQuery, Path: "mode", Types: []string{"string"}, Enum: []string{"a b", "c"}, Required: true}, {Where: analyze.InHeader, Path: "x-tenant", Types: []string{"string"}}}}
	for _, name := range []string{"$", "$.title", "$.count"} {
		form.Fields = append(form.Fields, analyze.Field{Side: analyze.Request, Where: analyze.InBody, ContentType: "application/x-www-form-urlencoded", Path: name, Types: []string{map[bool]string{true: "object", false: "string"}[name == "$"]}})
	}
	b, err := openapi.Postman("api.shop.example", append(sample(), form))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var c collection
	if err := d.Decode(&c); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if c.Info.Name == "" || c.Info.Schema != "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" || len(c.Item) != 3 || *c.Variable[0].Value != "https://api.shop.example" {
		t.Errorf("%s", b)
	}
	for i := range c.Item {
		if err := c.Item[i].valid(); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{`"{{baseUrl}}/orders/:order_id"`, `"{{baseUrl}}/v1/reports/{{report_id}}.json?mode=a+b"`, `"type": "bearer"`, `"{{apiKey}}"`, `"urlencoded"`, `"name": "PROPFIND /dav"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	if again, _ := openapi.Postman("api.shop.example", append(sample(), form)); !bytes.Equal(again, b) {
		t.Error("twice the same input, two collections")
	}
}

func TestList(t *testing.T) {
	b := openapi.List("api.shop.example", sample())
	if want := "GET api.shop.example/orders/{order_id}  # 9 requests\nPUT api.shop.example/orders/{order_id}  # 1 request\nPROPFIND api.shop.example/dav           # 1 request\n"; string(b) != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
	routes, err := openapi.Routes(b)
	if err != nil || len(routes) != 3 || routes[0].Host != "api.shop.example" || routes[0].Template != "/orders/{order_id}" {
		t.Errorf("a list is no list of routes: %v, %v", routes, err)
	}
}
