package clickhouse

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plainsight/storage/embedded/embeddedtest"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, dir, name string) authority {
	t.Helper()
	a := authority{file: filepath.Join(dir, name+".pem")}
	cert, key := a.issue(t, name, true)
	a.cert, a.key = cert.Leaf, key
	writePEM(t, a.file, "CERTIFICATE", cert.Leaf.Raw)
	return a
}

// issue signs a certificate for a host name; its own, where there is no
// authority yet.
func (a authority) issue(t *testing.T, name string, ca bool) (tls.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client writes a client's certificate and key.
func (a authority) client(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	pair, private := a.issue(t, name, false)
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", pair.Leaf.Raw)
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "EC PRIVATE KEY", der)
	return cert, key
}

// front puts TLS in front of an engine and returns its port.
func front(t *testing.T, config *tls.Config, engine string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer client.Close()
				if client.(*tls.Conn).Handshake() != nil {
					return
				}
				server, err := net.Dial("tcp", engine)
				if err != nil {
					return
				}
				running.Go(func() { defer client.Close(); _, _ = io.Copy(client, server) })
				_, _ = io.Copy(server, client)
				server.Close()
			})
		}
	})
	return l.Addr().String()[len("127.0.0.1:"):]
}

func TestServersAreReachedOverTLS(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	dir := t.TempDir()
	ours, theirs := newAuthority(t, dir, "ours"), newAuthority(t, dir, "theirs")
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	certificate, _ := ours.issue(t, "localhost", false)
	other, _ := ours.issue(t, "elsewhere.example", false)
	config := func(c tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	}
	port, wrongName := front(t, config(certificate), server.Addr), front(t, config(other), server.Addr)
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(server.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := ours.client(t, dir, "client")
	foreign, foreignKey := theirs.client(t, dir, "foreign")
	good := Access{PasswordFile: password, CAFile: ours.file, CertFile: cert, KeyFile: key}
	reach := func(port string, a Access) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s, err := Open(ctx, Options{Store: "clickhouse://localhost:" + port + "?secure=true", Access: a, Create: true})
		if err != nil {
			return err
		}
		return s.Close()
	}
	if err := reach(port, good); err != nil {
		t.Fatalf("an authority, a client's certificate and a password that are right: %v", err)
	}
	s := open(t, Options{Store: "clickhouse://localhost:" + port + "?secure=true", Access: good, Create: true})
	keep(t, s, shop("a"), shopCalls())
	if n := one(t, s, "SELECT count() FROM calls_current"); n != uint64(len(shopCalls())) {
		t.Errorf("%v calls over TLS", n)
	}

	for name, change := range map[string]func(*Access){
		"another authority":           func(a *Access) { a.CAFile = theirs.file },
		"the system's authorities":    func(a *Access) { a.CAFile = "" },
		"no certificate":              func(a *Access) { a.CertFile, a.KeyFile = "", "" },
		"another's certificate":       func(a *Access) { a.CertFile, a.KeyFile = foreign, foreignKey },
		"a key that is another's":     func(a *Access) { a.KeyFile = foreignKey },
		"no password":                 func(a *Access) { a.PasswordFile = "" },
		"a password file that is not": func(a *Access) { a.PasswordFile = filepath.Join(dir, "none") },
		"an authority that is none":   func(a *Access) { a.CAFile = password },
	} {
		a := good
		change(&a)
		if err := reach(port, a); err == nil || strings.Contains(err.Error(), server.Password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reach(wrongName, good); err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("a certificate for another host: %v", err)
	}
}

func TestUsersThatOnlyReadAreServed(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	s := remote(t, server)
	keep(t, s, shop("a"), shopCalls())
	if l := s.options.limits(0); l["readonly"] != 1 || l["max_execution_time"] != 60 {
		t.Errorf("limits of any user: %v", l)
	}
	for restricted := range uint8(3) {
		if restricted == 0 {
			continue
		}
		limits := s.options.limits(restricted)
		if _, says := limits["readonly"]; says || (limits == nil) != (restricted == 1) {
			t.Errorf("limits of a user with readonly = %d: %v", restricted, limits)
		}
		user := &Store{options: Options{Store: s.options.Store}.filled()}
		base, err := user.dial()
		if err != nil {
			t.Fatal(err)
		}
		base.Settings = map[string]any{"readonly": int(restricted)} // as a profile has it
		if got, err := user.restricted(t.Context(), base); err != nil || got != restricted {
			t.Errorf("readonly = %d is seen as %d: %v", restricted, got, err)
		}
		if err := user.prepare(t.Context(), base); err != nil {
			t.Fatal(err)
		}
		if n := one(t, user, "SELECT count() FROM calls_current"); n != uint64(len(shopCalls())) {
			t.Errorf("readonly = %d: %v calls", restricted, n)
		}
		if _, err := user.Query(t.Context(), "DROP TABLE calls"); err == nil {
			t.Error("a table was dropped")
		}
		if err := user.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPasswordsDoNotLeaveInTheClear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var heard bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.CopyN(&heard, c, 16) // a hello of either kind has begun
			_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n")
			n, _ := c.Read(make([]byte, 4096))
			heard.WriteString(strings.Repeat("x", n))
			c.Close()
		}
	}()
	t.Setenv("CLICKHOUSE_PASSWORD", "hunter2")
	_, err = Open(t.Context(), Options{Store: "clickhouse://u@localhost:" + l.Addr().String()[len("127.0.0.1:"):] + "?secure=true"})
	l.Close()
	<-done
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a server without TLS: %v", err)
	}
	if got := heard.Bytes(); len(got) < 3 || got[0] != 22 || bytes.Contains(got, []byte("hunter2")) {
		t.Errorf("it was told %q", got)
	}
}
