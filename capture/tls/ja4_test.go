package tls

import (
	"strings"
	"testing"

	"plainsight/capture/capturetest"
)

// hello makes a ClientHello of ciphers and extensions, in hex.
func hello(version, ciphers, extensions string) string {
	body := version + strings.Repeat("r", 32) + vector(1) + vector(2, unhex(ciphers)) + vector(1, "\x00")
	if extensions != "" {
		body += vector(2, extensions)
	}
	return "\x16\x03\x01" + vector(2, "\x01"+vector(3, body)) + "\x17\x03\x03" + vector(2, "sealed")
}

// unhex makes bytes of hex digits with commas.
func unhex(s string) string {
	var b []byte
	for _, c := range strings.ReplaceAll(s, ",", "") {
		b = append(b, byte(strings.IndexRune("0123456789abcdef", c)))
	}
	out := make([]byte, len(b)/2)
	for i := range out {
		out[i] = b[2*i]<<4 | b[2*i+1]
	}
	return string(out)
}

// TestJA4 compares with the example of the specification (Chrome 114), whose
// lists stand there in the clear, and with what it says of odd hellos.
func TestJA4(t *testing.T) {
	empty := func(types string) (s string) {
		for _, typ := range strings.Split(types, ",") {
			s += unhex(typ) + vector(2)
		}
		return s
	}
	signatures := func(list string) string { return "\x00\x0d" + vector(2, vector(2, unhex(list))) }
	versions := func(list string) string { return "\x00\x2b" + vector(2, vector(1, unhex(list))) }
	alpn := func(list ...string) string {
		var s string
		for _, p := range list {
			s += vector(1, p)
		}
		return "\x00\x10" + vector(2, vector(2, s))
	}
	name := "\x00\x00" + vector(2, vector(2, "\x00"+vector(2, "a.example")))
	const chrome = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
	for _, c := range []struct{ about, hello, want string }{
		{"a browser", hello("\x03\x03", "dada,"+chrome, empty("eaea,001b")+name+empty("0033")+alpn("h2", "http/1.1")+empty("4469,0017,002d,0005,0023,0012,ff01,000b,000a,0015")+
			signatures("0403,0804,0401,0503,0805,0501,0806,0601")+versions("baba,0304,0303")), "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"one without extensions", hello("\x03\x01", "002f,0035", ""), "t10i020000_f54dd463d39b_000000000000"},
		{"no name, no signatures", hello("\x03\x02", "0005", empty("ff01")), "t11i010100_1ed8eb363bcd_bc98f8e001b5"},
		{"HTTP/1.1", hello("\x03\x03", "0005", alpn("http/1.1")), "t12i0101h1_1ed8eb363bcd_000000000000"},
		{"a protocol of bytes", hello("\x03\x03", "0005", alpn("\xab\xcd")), "t12i0101ad_1ed8eb363bcd_000000000000"},
		{"a protocol of one letter", hello("\x03\x00", "0005", alpn("c")), "ts3i0101cc_1ed8eb363bcd_000000000000"},
		{"a version of nobody", hello("\x07\x07", "0005", alpn("c")), "t00i0101cc_1ed8eb363bcd_000000000000"},
	} {
		h := one(t, []capturetest.Step{capturetest.Client(c.hello)})
		if h.JA4 != c.want {
			t.Errorf("%s: %s, expected %s", c.about, h.JA4, c.want)
		}
	}
}
