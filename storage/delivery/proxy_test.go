package delivery

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// harm is what a proxy does to one insert.
type harm uint8

const (
	harmless  harm = iota
	cutQuery       // hangs up when the INSERT comes
	cutData        // hangs up in the midst of the rows
	cutAnswer      // the rows are taken; the answer is not passed on
	reset          // as cutAnswer, by a reset
	deaf           // reads no more: the window goes to 0
	mute           // the rows are taken; no answer ever comes
	page           // a page of HTML in place of the answer
	harms
)

var harmNames = [...]string{"harmless", "cut query", "cut data", "cut answer", "reset", "deaf", "mute", "page"}

func (h harm) String() string { return harmNames[h] }

// proxy stands between a client and an engine on loopback and does harm to
// inserts. It knows no more of the protocol than that an INSERT's text is
// followed by an answer, the rows, and another answer.
type proxy struct {
	l      net.Listener
	closed chan struct{}
	wait   sync.WaitGroup

	mu      sync.Mutex
	target  string
	away    bool        // connections are reset at once
	front   []byte      // sent in place of all else; nil: nothing
	next    func() harm // of the next insert
	touched func(harm)  // told when rows begin to pass; nil: nobody is
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, closed: make(chan struct{})}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		close(p.closed)
		l.Close()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serve(c) })
	}
}

func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target, away, front := p.target, p.away, p.front
	p.mu.Unlock()
	if away {
		abort(client)
		return
	}
	if front != nil {
		_, _ = client.Write(front)
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		abort(client)
		return
	}
	defer server.Close()
	s := &stream{proxy: p, client: client, server: server, over: make(chan struct{})}
	p.wait.Go(func() {
		select {
		case <-p.closed:
		case <-s.over:
		}
		client.Close()
		server.Close()
	})
	var both sync.WaitGroup
	both.Go(func() { s.up(); s.end() })
	both.Go(func() { s.down(); s.end() })
	both.Wait()
}

// stream is one connection through the proxy.
type stream struct {
	*proxy
	client, server net.Conn
	over           chan struct{}
	once           sync.Once

	mu    sync.Mutex
	phase int // of an insert: 1 the query was sent, 2 its header came back, 3 rows are sent
	harm  harm
}

func (s *stream) end() { s.once.Do(func() { close(s.over) }) }

// hold waits until the connection is closed by the client, or the test ends.
func (s *stream) hold() { <-s.over }

func (s *stream) up() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.client.Read(buf)
		if n > 0 && !s.pass(buf[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

// pass sends bytes of the client on, or does what harm it must.
func (s *stream) pass(b []byte) bool {
	s.mu.Lock()
	if bytes.Contains(b, []byte("INSERT INTO")) {
		s.phase, s.harm = 1, harmless
		s.proxy.mu.Lock()
		if s.next != nil {
			s.harm = s.next()
		}
		s.proxy.mu.Unlock()
	} else if s.phase == 2 {
		s.phase = 3
		if s.touched != nil {
			s.touched(s.harm)
		}
	}
	phase, h := s.phase, s.harm
	s.mu.Unlock()
	switch {
	case phase == 1 && h == cutQuery:
		return false
	case phase == 3 && h == cutData:
		_, _ = s.server.Write(b[:len(b)/2])
		return false
	case phase == 3 && h == deaf:
		_ = s.client.(*net.TCPConn).SetReadBuffer(4096)
		s.hold()
		return false
	}
	_, err := s.server.Write(b)
	return err == nil
}

func (s *stream) down() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.server.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.phase == 1 {
			s.phase = 2
		}
		answer, h := s.phase == 3, s.harm
		s.mu.Unlock()
		if answer {
			switch h {
			case cutAnswer:
				return
			case reset:
				abort(s.client)
				return
			case mute:
				_, _ = io.Copy(io.Discard, s.server)
				return
			case page:
				_, _ = s.client.Write([]byte(badGateway))
				return
			}
		}
		if _, err := s.client.Write(buf[:n]); err != nil {
			return
		}
	}
}

const badGateway = "HTTP/1.1 502 Bad Gateway\r\nLocation: http://192.0.2.1/\r\nContent-Type: text/html\r\n\r\n<html><body>upstream is away</body></html>"
