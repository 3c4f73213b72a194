//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
)

// Part is what a function plays in a TLS library: which programs belong to it.
type Part uint8

// Parts. The arguments that the programs rely on stand with them in tls.bpf.c.
const (
	SendPart        Part = iota // (object, buffer, n): how many were sent
	ReceivePart                 // (object, buffer, n): how many came
	SendExPart                  // (object, buffer, n, *sent): 1
	ReceiveExPart               // (object, buffer, n, *came): 1
	HandshakePart               // (object)
	FreePart                    // (object)
	GoSendPart                  // (*tls.Conn).Write
	GoReceivePart               // (*tls.Conn).Read
	GoHandshakePart             // (*tls.Conn).HandshakeContext
	GoFreePart                  // (*tls.Conn).Close
)

// Point is a function in a file.
type Point struct {
	Part
	Entry   uint64   // offset of its first instruction in the file
	Returns []uint64 // of each of its returns: Go's functions alone
}

// tlsProbes are the programs of the TLS libraries and what they are attached to.
type tlsProbes struct {
	objects tlsObjects
	multi   bool // the kernel attaches to many places at once (6.6)
}

func (s *Sockets) loadTLS(turn int) error {
	spec, err := loadTls()
	if err != nil {
		return fmt.Errorf("read the programs of TLS: %w", err)
	}
	if turn > 0 {
		if err := spec.Variables["turn_bytes"].Set(uint32(turn)); err != nil {
			return fmt.Errorf("set turn_bytes: %w", err)
		}
	}
	t := &tlsProbes{multi: features.HaveBPFLinkUprobeMulti() == nil}
	if t.multi {
		for _, p := range spec.Programs {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	o := &s.objects
	shared := map[string]*ebpf.Map{
		"counters": o.Counters, "events": o.Events, "go_calls": o.GoCalls, "plain_tellers": o.PlainTellers, "secured": o.Secured,
		"threads": o.Threads, "tls_calls": o.TlsCalls,
	}
	for name := range shared {
		if spec.Maps[name] == nil {
			delete(shared, name)
		} else if name == socketsMapEvents {
			spec.Maps[name].MaxEntries = o.Events.MaxEntries()
		}
	}
	if err := spec.LoadAndAssign(&t.objects, &ebpf.CollectionOptions{MapReplacements: shared}); err != nil {
		return fmt.Errorf("load the programs of TLS: %w", err)
	}
	s.tls = t
	return nil
}

// Files is how many files [Sockets.Hits] can tell apart.
const Files = 1024

// AttachTLS attaches to the functions of one file: an executable or a library. All
// processes that run it, now or later, are told of, as far as the filter wants
// their sockets. number is what its calls are counted under, below [Files]. Close
// of what is returned detaches.
func (s *Sockets) AttachTLS(path string, number int, points []Point) (io.Closer, error) {
	if s.tls == nil {
		return nil, errors.New("the programs of TLS were not loaded")
	}
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	var all attached
	for _, a := range s.tls.plan(points) {
		if err := all.attach(file, a, uint64(number), s.tls.multi); err != nil {
			all.Close()
			return nil, err
		}
	}
	if err := s.tls.objects.Ready.Put(uint32(number), uint32(1)); err != nil {
		all.Close()
		return nil, fmt.Errorf("attach: %w", err)
	}
	return all, nil
}

// Hits is how often functions of a file were called since the programs were loaded.
func (s *Sockets) Hits(number int) (sum uint64, err error) {
	var each []uint64
	if err := s.tls.objects.Hits.Lookup(uint32(number), &each); err != nil {
		return 0, fmt.Errorf("read the calls of a file: %w", err)
	}
	for _, n := range each {
		sum += n
	}
	return sum, nil
}

// place is where a program is attached.
type place struct {
	program *ebpf.Program
	returns bool // when the function returns, whatever the way
	offsets []uint64
}

// plan sorts the functions by program.
func (t *tlsProbes) plan(points []Point) (all []place) {
	o := &t.objects
	enter := map[Part]*ebpf.Program{
		SendPart: o.TlsSend, ReceivePart: o.TlsReceive, SendExPart: o.TlsSendEx, ReceiveExPart: o.TlsReceiveEx, HandshakePart: o.TlsHandshake,
		FreePart: o.TlsFree, GoSendPart: o.GoSend, GoReceivePart: o.GoReceive, GoHandshakePart: o.GoHandshake, GoFreePart: o.GoFree,
	}
	add := func(p *ebpf.Program, returns bool, offsets ...uint64) {
		if len(offsets) > 0 {
			all = append(all, place{p, returns, offsets})
		}
	}
	for _, p := range points {
		switch p.Part {
		case SendPart, ReceivePart, SendExPart, ReceiveExPart, HandshakePart:
			add(o.TlsLeave, true, p.Entry)
		case GoSendPart, GoReceivePart:
			add(o.GoLeave, false, p.Returns...)
		case GoHandshakePart:
			add(o.GoShaken, false, p.Returns...)
		}
		add(enter[p.Part], false, p.Entry)
	}
	return all
}

type attached []link.Link

func (a *attached) attach(file *link.Executable, p place, number uint64, multi bool) error {
	keep := func(l link.Link, err error) error {
		if err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		*a = append(*a, l)
		return nil
	}
	if multi {
		at := &link.UprobeMultiOptions{Addresses: p.offsets, Cookies: slices.Repeat([]uint64{number}, len(p.offsets))}
		if p.returns {
			return keep(file.UretprobeMulti(nil, p.program, at))
		}
		return keep(file.UprobeMulti(nil, p.program, at))
	}
	for _, offset := range p.offsets {
		at := &link.UprobeOptions{Address: offset, Cookie: number}
		one := file.Uprobe
		if p.returns {
			one = file.Uretprobe
		}
		if err := keep(one("function", p.program, at)); err != nil {
			return err
		}
	}
	return nil
}

// Close detaches.
func (a attached) Close() error {
	var errs []error
	for _, l := range a {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
