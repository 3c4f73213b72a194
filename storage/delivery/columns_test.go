package delivery

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
)

var at = time.Date(2026, 11, 25, 9, 0, 0, 123456000, time.UTC)

// full fills every field of v with something.
func full(v reflect.Value, n int) {
	if v.Type().PkgPath() != "" && v.Kind() != reflect.Struct { // a closed set, as a severity
		n %= 2
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at.Add(time.Duration(n) * time.Millisecond)))
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				full(f, n+i)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n%3, n%3))
		for i := range v.Len() {
			full(v.Index(i), n+i)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range n % 4 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			full(key, n+i)
			full(value, n+i)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(strings.Repeat("å\x00'", n%5))
	case reflect.Bool:
		v.SetBool(n%2 == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n % 100))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n % 200))
	case reflect.Float64:
		v.SetFloat(float64(n) / 3)
	}
}

// samples is a snapshot and calls with every field filled.
func samples(n int) (s analyze.Snapshot, calls []analyze.Call) {
	full(reflect.ValueOf(&s).Elem(), n)
	calls = make([]analyze.Call, n)
	for i := range calls {
		full(reflect.ValueOf(&calls[i]).Elem(), n+i)
	}
	return s, calls
}

func TestEveryColumnComesBackAsItWas(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; n < 40; n += 4 {
		s, calls := samples(n)
		var traffic storage.Traffic
		var callers storage.Callers
		for i := range calls {
			traffic.Add(&calls[i])
			callers.Add(&calls[i])
		}
		agent := storage.AgentRow{Time: at, Agent: "a", Stages: []storage.Stage{{Name: "s", In: 3}}, SinkErrors: map[string]uint64{"connect": 1}}
		for _, b := range append(storage.Batches(&s, at), storage.Calls(calls), traffic.Take(), callers.Take(), storage.Agents([]storage.AgentRow{agent, {}})) {
			if b.Len == 0 {
				continue
			}
			values := b.Values(storage.Stamp{Run: 7, Batch: 9, Day: at})
			columns := make([]column, len(values))
			for i, v := range values {
				columns[i] = column{b.Table.Columns[i].Name, v}
			}
			one, key, err := encode(nil, columns, b.Len)
			if err != nil {
				t.Fatalf("%s: %v", b.Table.Name, err)
			}
			again, key2, _ := encode(nil, columns, b.Len)
			if key != key2 || !bytes.Equal(one, again) {
				t.Errorf("%s: the same rows are different bytes", b.Table.Name)
			}
			got, rows, err := decode([][]byte{one, one})
			if err != nil || rows != 2*b.Len {
				t.Fatalf("%s: %v, %d rows", b.Table.Name, err, rows)
			}
			for i, c := range got {
				want := reflect.ValueOf(values[i])
				want = reflect.AppendSlice(reflect.AppendSlice(reflect.MakeSlice(want.Type(), 0, rows), want), want)
				if c.name != columns[i].name || !reflect.DeepEqual(micro(c.values), micro(want.Interface())) {
					t.Errorf("%s.%s:\n got %v\nwant %v", b.Table.Name, c.name, c.values, want)
				}
			}
			seen[b.Table.Name] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %v were tried", seen)
	}
	if _, _, err := encode(nil, []column{{"x", []complex64{1}}}, 1); !errors.Is(err, errKind) {
		t.Errorf("a type that is not known: %v", err)
	}
}

// micro writes nested values so that empty and nil slices are the same.
func micro(v any) any {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice {
		return v
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = micro(r.Index(i).Interface())
	}
	return out
}

func FuzzDecode(f *testing.F) {
	s, calls := samples(5)
	for _, b := range append(storage.Batches(&s, at), storage.Calls(calls)) {
		if b.Len == 0 {
			continue
		}
		var columns []column
		for i, v := range b.Values(storage.Stamp{Run: 7, Batch: 9}) {
			columns = append(columns, column{b.Table.Columns[i].Name, v})
		}
		one, _, err := encode(nil, columns, b.Len)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		columns, rows, err := decode([][]byte{b})
		if err != nil {
			return
		}
		for _, c := range columns {
			if n := reflect.ValueOf(c.values).Len(); n != rows {
				t.Fatalf("column %s has %d values of %d", c.name, n, rows)
			}
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	calls := traffic(1, 4096)
	batch := storage.Calls(calls)
	columns := make([]column, len(batch.Table.Columns))
	var buffer []byte
	encodeAll := func() {
		for i, v := range batch.Values(storage.Stamp{Run: 7, Batch: 9}) {
			columns[i] = column{batch.Table.Columns[i].Name, v}
		}
		var err error
		if buffer, _, err = encode(buffer[:0], columns, batch.Len); err != nil {
			b.Fatal(err)
		}
	}
	encodeAll()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encodeAll()
		}
		b.ReportMetric(float64(b.N)*float64(len(calls))/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(float64(len(buffer))/float64(len(calls)), "B/row")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := decode([][]byte{buffer}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*float64(len(calls))/b.Elapsed().Seconds(), "rows/s")
	})
}
