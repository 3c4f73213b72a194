//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"

	"plainsight/capture"
)

// Filter says which sockets are told of. An empty list wants everything.
type Filter struct {
	capture.Filter
	Namespaces []uint32 // inodes of network namespaces
	Cgroups    []Cgroup // with all below them
}

// Cgroup is a control group of version 2.
type Cgroup struct {
	ID    uint64 // inode of its directory
	Level uint32 // of its directory below the root, which is 0
}

// Empty reports whether the filter lets all sockets of the host through.
func (f *Filter) Empty() bool {
	return f.Filter.Empty() && len(f.Namespaces)+len(f.Cgroups) == 0
}

// SocketOptions bound what the kernel tells. Zero fields have the defaults.
type SocketOptions struct {
	Filter    Filter
	Ring      int  // bytes of the ring buffer, a power of two. 0: 8 MiB
	Turn      int  // bytes shown of one side until the other speaks. 0: 1 MiB
	Handshake int  // bytes shown of each direction of TLS. 0: 16 KiB
	TLS       bool // AttachTLS will be called
}

// Counter names what is counted in the kernel; the numbers are those of enum counter.
type Counter uint8

// Counters of the kernel.
const (
	Calls           = Counter(socketsCounterCOUNT_CALLS)         // system calls on TCP sockets that were looked at
	Unwanted        = Counter(socketsCounterCOUNT_UNWANTED)      // … on sockets that the filter leaves out
	Other           = Counter(socketsCounterCOUNT_OTHER)         // … that speak none of our protocols
	FarEnd          = Counter(socketsCounterCOUNT_FAR_END)       // … whose other end is told of
	Events          = Counter(socketsCounterCOUNT_EVENTS)        // events handed over
	Bytes           = Counter(socketsCounterCOUNT_BYTES)         // bytes shown
	Skipped         = Counter(socketsCounterCOUNT_SKIPPED)       // bytes not shown, whatever the reason
	Dropped         = Counter(socketsCounterCOUNT_DROPPED)       // events lost because the ring was full
	UnreadableCalls = Counter(socketsCounterCOUNT_UNREADABLE)    // calls without a buffer to read
	Faults          = Counter(socketsCounterCOUNT_FAULTS)        // buffers that could not be read
	TLSCalls        = Counter(socketsCounterCOUNT_TLS_CALLS)     // calls of TLS libraries with bytes
	TLSUntied       = Counter(socketsCounterCOUNT_TLS_UNTIED)    // … that no socket could be given to
	TLSAmbiguous    = Counter(socketsCounterCOUNT_TLS_AMBIGUOUS) // … that more than one socket could
	counters        = int(socketsCounterCOUNTERS)
)

// Counts are the kernel's counters, all processors together.
type Counts [counters]uint64

// Sockets tells of the plaintext of TCP sockets. Next is for one goroutine; the
// rest is safe beside it.
type Sockets struct {
	objects socketsObjects
	tls     *tlsProbes // nil: not asked for
	links   []link.Link
	reader  *ringbuf.Reader
	record  ringbuf.Record
	filter  sync.Mutex
	moves   uint32 // generation of the filter
}

// A kernel that has what is looked for, has not, or did not let us look.
type Answer uint8

// Answers of a probe.
const (
	CouldNotTell Answer = iota
	No
	Yes
)

// String is the answer in words.
func (a Answer) String() string { return [...]string{"could not tell", "no", "yes"}[a] }

// ProbeSockets reports whether this kernel has what [OpenSockets] attaches to;
// the error says what is missing, or what kept us from looking.
func ProbeSockets() (Answer, error) {
	kernel, err := btf.LoadKernelSpec()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, btf.ErrNotSupported) {
		return No, errors.New("the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)")
	}
	if err != nil {
		return CouldNotTell, fmt.Errorf("types of the kernel: %w", err)
	}
	for _, name := range []string{"sock_send_length", "sock_recv_length", "inet_sock_set_state"} {
		var t *btf.Typedef
		if err := kernel.TypeByName("btf_trace_"+name, &t); errors.Is(err, btf.ErrNotFound) {
			return No, fmt.Errorf("the kernel has no tracepoint %s (it came with Linux 6.3)", name)
		} else if err != nil {
			return CouldNotTell, fmt.Errorf("tracepoint %s: %w", name, err)
		}
	}
	for _, m := range []ebpf.MapType{ebpf.RingBuf, ebpf.SkStorage} {
		switch err := features.HaveMapType(m); {
		case errors.Is(err, ebpf.ErrNotSupported):
			return No, fmt.Errorf("the kernel has no map of type %s", m)
		case err != nil:
			return CouldNotTell, fmt.Errorf("map of type %s: %w", m, err)
		}
	}
	return Yes, nil
}

// OpenSockets loads the programs and attaches them.
func OpenSockets(o SocketOptions) (*Sockets, error) {
	// Before Linux 5.11 maps counted against this limit; where that needs a
	// capability that we lack, loading says so.
	_ = rlimit.RemoveMemlock()
	spec, err := loadSockets()
	if err != nil {
		return nil, fmt.Errorf("read the programs: %w", err)
	}
	if o.Ring > 0 {
		spec.Maps[socketsMapEvents].MaxEntries = uint32(o.Ring)
	}
	for name, n := range map[string]int{"turn_bytes": o.Turn, "handshake_bytes": o.Handshake} {
		if n > 0 {
			if err := spec.Variables[name].Set(uint32(n)); err != nil {
				return nil, fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	if err := spec.Variables["tls_probes"].Set(o.TLS); err != nil {
		return nil, fmt.Errorf("set tls_probes: %w", err)
	}
	s := &Sockets{}
	if err := spec.LoadAndAssign(&s.objects, nil); err != nil {
		return nil, fmt.Errorf("load the programs: %w", err)
	}
	if o.TLS {
		if err := s.loadTLS(o.Turn); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.start(&o.Filter); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sockets) start(f *Filter) (err error) {
	if err = s.SetFilter(f); err != nil {
		return err
	}
	if s.reader, err = ringbuf.NewReader(s.objects.Events); err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	for _, p := range []struct {
		name    string
		program *ebpf.Program
	}{{"inet_sock_set_state", s.objects.State}, {"sock_send_length", s.objects.Sent}, {"sock_recv_length", s.objects.Received}} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.program})
		if err != nil {
			return fmt.Errorf("attach %s: %w", p.name, err)
		}
		s.links = append(s.links, l)
	}
	return nil
}

// SetFilter changes which sockets are told of, those that are open included.
func (s *Sockets) SetFilter(f *Filter) error {
	s.filter.Lock()
	defer s.filter.Unlock()
	s.moves++
	if len(f.Cgroups) > len(socketsFilter{}.Cgroup) {
		return fmt.Errorf("%d cgroups: at most %d can be told apart", len(f.Cgroups), len(socketsFilter{}.Cgroup))
	}
	k := socketsFilter{Generation: s.moves, Self: uint32(os.Getpid()), Cgroups: uint32(len(f.Cgroups))}
	for i, g := range f.Cgroups {
		k.Cgroup[i].Id, k.Cgroup[i].Level = g.ID, g.Level
	}
	ports, networks, namespaces := map[uint32]uint32{}, map[socketsNetwork]uint32{}, map[uint32]uint32{}
	for _, p := range f.Ports {
		ports[uint32(p)] = uint32(socketsListedLISTED_WANTED)
	}
	for _, p := range f.ExcludedPorts {
		ports[uint32(p)] = uint32(socketsListedLISTED_EXCLUDED)
	}
	for _, n := range f.Networks {
		networks[network(n)] = uint32(socketsListedLISTED_WANTED)
	}
	for _, n := range f.ExcludedNetworks {
		networks[network(n)] = uint32(socketsListedLISTED_EXCLUDED)
	}
	for _, n := range f.Namespaces {
		namespaces[n] = uint32(socketsListedLISTED_WANTED)
	}
	if len(f.Ports) > 0 {
		k.Lists |= uint32(socketsListsLIST_PORTS)
	}
	if len(f.Networks) > 0 {
		k.Lists |= uint32(socketsListsLIST_NETWORKS)
	}
	if len(f.Namespaces) > 0 {
		k.Lists |= uint32(socketsListsLIST_NAMESPACES)
	}
	if err := errors.Join(replace(s.objects.Ports, ports), replace(s.objects.Networks, networks), replace(s.objects.Namespaces, namespaces)); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	if err := s.objects.Filters.Put(uint32(0), &k); err != nil { // last: it makes the rest count
		return fmt.Errorf("set the filter: %w", err)
	}
	return nil
}

func network(p netip.Prefix) socketsNetwork {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return socketsNetwork{Prefix: uint32(bits), Address: p.Masked().Addr().As16()}
}

// replace makes a map hold just what is wanted.
func replace[K comparable](m *ebpf.Map, want map[K]uint32) error {
	var key K
	var value uint32
	var gone []K
	for all := m.Iterate(); all.Next(&key, &value); {
		if _, ok := want[key]; !ok {
			gone = append(gone, key)
		}
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	for key, value := range want {
		if err := m.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// poll is how long events may wait in a ring that is nearly empty: the kernel
// wakes us only for many.
const poll = 20 * time.Millisecond

// Next reads the next event. It returns [os.ErrDeadlineExceeded] where none came
// for a while, and [os.ErrClosed] after Close.
func (s *Sockets) Next(e *Event) error {
	for {
		s.reader.SetDeadline(time.Now().Add(poll))
		if err := s.reader.ReadInto(&s.record); err != nil {
			return err
		}
		if e.decode(s.record.RawSample) {
			return nil
		}
	}
}

// Counts reads the kernel's counters.
func (s *Sockets) Counts() (sum Counts, err error) {
	var each []uint64
	for i := range sum {
		if err := s.objects.Counters.Lookup(uint32(i), &each); err != nil {
			return sum, fmt.Errorf("read counters of the kernel: %w", err)
		}
		for _, n := range each {
			sum[i] += n
		}
	}
	return sum, nil
}

// Close detaches the programs; it ends a Next that waits.
func (s *Sockets) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.tls != nil {
		errs = append(errs, s.tls.objects.Close())
	}
	return errors.Join(append(errs, s.objects.Close())...)
}
