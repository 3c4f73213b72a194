package clickhouse

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Access says how a server is reached and who asks. What is empty comes from
// the environment: CLICKHOUSE_USER, CLICKHOUSE_PASSWORD, and the files named
// by CLICKHOUSE_PASSWORD_FILE, CLICKHOUSE_CA_FILE, CLICKHOUSE_CERT_FILE and
// CLICKHOUSE_KEY_FILE. A password is never an argument: those are for all on
// the machine to read.
//
// The server is spoken to in the native protocol over TLS 1.2 or later, its
// certificate checked against the system's authorities or CAFile. That
// protocol has no redirects: a password goes to the host that was named.
type Access struct {
	// Plaintext leaves TLS out. It is needed for hosts that are not this one:
	// all on the way can read the password and what is kept.
	Plaintext bool

	PasswordFile string
	CAFile       string // authorities, PEM
	CertFile     string // of this client, PEM; read anew for each connection
	KeyFile      string
}

// Server says whether a store's address names a server.
func Server(store string) bool { return strings.Contains(store, "://") }

// server reads the address of a server.
func (s *Store) server() (*clickhouse.Options, error) {
	u, err := url.Parse(s.options.Store)
	if err != nil {
		return nil, fmt.Errorf("%w: no URL", ErrURL) // err quotes it, with what it may hold
	}
	switch _, secret := u.User.Password(); {
	case u.Scheme != "clickhouse":
		return nil, fmt.Errorf("%w: clickhouse://HOST is understood, not %s://", ErrURL, u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%w: it names no host", ErrURL)
	case secret:
		return nil, fmt.Errorf("%w: a password there is for all on this machine to read; put it into CLICKHOUSE_PASSWORD or a file named by CLICKHOUSE_PASSWORD_FILE", ErrURL)
	}
	for key, values := range u.Query() {
		if key != "secure" || values[0] != "true" {
			return nil, fmt.Errorf("%w: of options, only secure=true is understood; to leave TLS out, say --insecure-plaintext", ErrURL)
		}
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		s.database = db
	}
	password, err := s.options.Access.password()
	if err != nil {
		return nil, err
	}
	o := &clickhouse.Options{
		Auth:        clickhouse.Auth{Username: cmp.Or(u.User.Username(), os.Getenv("CLICKHOUSE_USER")), Password: password},
		DialTimeout: s.options.DialTime,
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
	}
	port := "9000"
	if u.Query().Has("secure") || !s.options.Access.Plaintext && !loopback(u.Hostname()) {
		port = "9440"
		if o.TLS, err = s.options.Access.tls(u.Hostname()); err != nil {
			return nil, err
		}
	}
	o.Addr = []string{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))}
	return o, nil
}

// loopback says whether a host is this one for sure.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (a Access) password() (string, error) {
	file := cmp.Or(a.PasswordFile, os.Getenv("CLICKHOUSE_PASSWORD_FILE"))
	if file == "" {
		return os.Getenv("CLICKHOUSE_PASSWORD"), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password of the store: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (a Access) tls(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if file := cmp.Or(a.CAFile, os.Getenv("CLICKHOUSE_CA_FILE")); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("authorities of the store: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities of the store: no certificate in %s", file)
		}
	}
	cert, key := cmp.Or(a.CertFile, os.Getenv("CLICKHOUSE_CERT_FILE")), cmp.Or(a.KeyFile, os.Getenv("CLICKHOUSE_KEY_FILE"))
	if cert == "" && key == "" {
		return c, nil
	}
	if _, err := tls.LoadX509KeyPair(cert, cmp.Or(key, cert)); err != nil {
		return nil, fmt.Errorf("certificate for the store: %w", err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // it may have been renewed
		pair, err := tls.LoadX509KeyPair(cert, cmp.Or(key, cert))
		return &pair, err
	}
	return c, nil
}
