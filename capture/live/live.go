//go:build linux

// Package live reads frames from the network interfaces of this host through
// packet sockets (AF_PACKET with a TPACKET_V3 ring, packet(7)), without cgo. The
// filter runs in the kernel, interfaces stay out of promiscuous mode, and what the
// kernel dropped is counted. It decodes nothing. The live agent gives its frames to
// an engine of package flow. It needs CAP_NET_RAW and nothing else.
package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"plainsight/capture"
)

// Options say what is read. Zero fields have the defaults.
type Options struct {
	Interface string // name; empty: all of them
	Filter    capture.Filter
	Namespace string // file of a network namespace; empty: our own
	Ring      int    // bytes of the ring, in blocks of 1 MiB. 0: 32 MiB
	// Group shares the frames out to the sources of one group, those of a connection
	// to one of them. NoGroup: the source gets all; NewGroup: the first of a group,
	// whose number Source.Group says for those that join it.
	Group int
}

// Of [Options.Group].
const (
	NoGroup  = 0
	NewGroup = -1
)

// Counts are what the kernel says of a source since it was opened.
type Counts struct {
	Frames  uint64 // that passed the filter
	Dropped uint64 // of them, because the ring was full
	Freezes uint64 // times the ring was full
}

// Source is one packet socket. Next is for one goroutine; the rest is safe
// beside it.
type Source struct {
	fd       int
	group    int // of sources that share frames
	loopback int // index of the loopback interface: it shows every frame twice
	ring     []byte
	block    int    // being read, or waited for
	left     uint32 // frames of it that were not read yet
	at       []byte // the next of them, to the end of its block
	holding  bool   // the block is ours
	stop     [2]int // a pipe whose end wakes a Next that waits
	closing  sync.Once
	reading  sync.Mutex // held by Next
	lent     bool       // a frame is lent
	closed   bool
	last     uint64 // number of the last frame

	counts struct{ frames, dropped, freezes atomic.Uint64 }
}

const (
	blockSize = 1 << 20
	retire    = 20 // ms until a block that is not full is handed over
	reserve   = 4  // room in front of a frame for the VLAN tag that the kernel took out
	pause     = 100 * time.Millisecond
)

// Open opens a packet socket.
func Open(o Options) (s *Source, err error) {
	if o.Namespace == "" {
		return open(o)
	}
	err = within(o.Namespace, func() (err error) { s, err = open(o); return err })
	return s, err
}

// within does something in another network namespace. A socket stays in the one
// that it was made in.
func within(namespace string, do func() error) error {
	there, err := os.Open(namespace)
	if err != nil {
		return err
	}
	defer there.Close()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	runtime.LockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", namespace, err)
	}
	err = do()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("come back from %s: %w", namespace, back)) // the thread stays locked and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

func open(o Options) (_ *Source, err error) {
	index := 0
	if o.Interface != "" {
		i, err := net.InterfaceByName(o.Interface)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", o.Interface, err)
		}
		index = i.Index
	}
	if o.Ring <= 0 {
		o.Ring = 32 << 20
	}
	program, err := compile(&o.Filter)
	if err != nil {
		return nil, err
	}
	// Without a protocol nothing comes before the filter is in its place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	s := &Source{fd: fd, stop: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if lo, err := net.InterfaceByName("lo"); err == nil {
		s.loopback = lo.Index
	}
	blocks := uint32(max(2, o.Ring/blockSize))
	request := unix.TpacketReq3{
		Block_size: blockSize, Block_nr: blocks, Frame_size: 2048, Frame_nr: blocks * (blockSize / 2048), Retire_blk_tov: retire,
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"attach the filter", func() error { return attach(fd, program) }},
		{"choose TPACKET_V3", func() error {
			return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3)
		}},
		{"keep room for a tag", func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, reserve) }},
		{"make the ring", func() error { return unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request) }},
		{"map the ring", func() (err error) {
			s.ring, err = unix.Mmap(fd, 0, int(blocks)*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		}},
		{"make a pipe", func() error { return unix.Pipe2(s.stop[:], unix.O_CLOEXEC|unix.O_NONBLOCK) }},
		{"bind", func() error {
			return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
		}},
		{"join the fanout", func() error {
			how := unix.PACKET_FANOUT_HASH | unix.PACKET_FANOUT_FLAG_DEFRAG
			id := o.Group - 1 // the kernel numbers from 0
			switch o.Group {
			case NoGroup:
				return nil
			case NewGroup:
				id, how = 0, how|unix.PACKET_FANOUT_FLAG_UNIQUEID
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, id|how<<16); err != nil {
				return err
			}
			joined, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
			s.group = joined&0xffff + 1
			return err
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return s, nil
}

func networkOrder(n uint16) uint16 { return binary.NativeEndian.Uint16([]byte{byte(n >> 8), byte(n)}) }

func attach(fd int, program []bpf.RawInstruction) error {
	filters := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}

// Group is the number of the source's group.
func (s *Source) Group() int { return s.group }

// SetFilter changes which frames are read from now on.
func (s *Source) SetFilter(f *capture.Filter) error {
	program, err := compile(f)
	if err != nil {
		return err
	}
	if err := attach(s.fd, program); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	return nil
}

// Close ends the source; a Next that waits, and those after it, return io.EOF.
// While a frame is lent the ring stays: the Next that follows gives it back.
func (s *Source) Close() error {
	var err error
	s.closing.Do(func() {
		if s.stop[1] >= 0 {
			err = unix.Close(s.stop[1]) // the other end becomes readable: a Next that waits ends
		}
		s.reading.Lock()
		defer s.reading.Unlock()
		s.closed = true
		if !s.lent {
			err = errors.Join(err, s.release())
		}
	})
	return err
}

// release gives everything back. It is called once, by who ends reading.
func (s *Source) release() error {
	var errs []error
	if s.ring != nil {
		errs = append(errs, unix.Munmap(s.ring))
		s.ring = nil
	}
	if s.stop[0] >= 0 {
		errs = append(errs, unix.Close(s.stop[0]))
		s.stop[0] = -1
	}
	if s.fd >= 0 {
		errs = append(errs, unix.Close(s.fd))
		s.fd = -1
	}
	return errors.Join(errs...)
}

// Counts are the kernel's.
func (s *Source) Counts() Counts {
	return Counts{s.counts.frames.Load(), s.counts.dropped.Load(), s.counts.freezes.Load()}
}

// count asks the kernel, which forgets what it has told.
func (s *Source) count() {
	if k, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.counts.frames.Add(uint64(k.Packets))
		s.counts.dropped.Add(uint64(k.Drops))
		s.counts.freezes.Add(uint64(k.Freeze_q_cnt))
	}
}

// Next fills f. f.Data is borrowed until the next call.
func (s *Source) Next(f *capture.Frame) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.lent = false
	if s.closed {
		if s.ring != nil {
			s.count()
		}
		if err := s.release(); err != nil {
			return err
		}
		return io.EOF
	}
	for {
		for s.left > 0 {
			if s.frame(f) {
				s.lent = true
				return nil
			}
		}
		if s.holding {
			s.handBack()
		}
		block := s.ring[s.block*blockSize : (s.block+1)*blockSize]
		head := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[8])) // struct tpacket_block_desc: version, offset, header
		if atomic.LoadUint32(&head.Block_status)&unix.TP_STATUS_USER == 0 {
			switch came, err := s.wait(); {
			case err != nil:
				return err
			case !came:
				s.count()
				f.Stamp = capture.Stamp{Time: time.Now().Round(0), Frame: s.last}
				return capture.ErrQuiet
			}
			continue
		}
		s.holding, s.left, s.at = true, head.Num_pkts, block[min(head.Offset_to_first_pkt, blockSize):]
	}
}

// handBack gives a block to the kernel again.
func (s *Source) handBack() {
	block := s.ring[s.block*blockSize:]
	head := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[8]))
	atomic.StoreUint32(&head.Block_status, unix.TP_STATUS_KERNEL)
	s.holding, s.at = false, nil
	s.block++
	if s.block*blockSize == len(s.ring) {
		s.block = 0
	}
}

// wait waits until a block is ours, for a while. It reports whether one may be.
func (s *Source) wait() (came bool, err error) {
	ready := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN | unix.POLLERR}, {Fd: int32(s.stop[0]), Events: unix.POLLIN}}
	n, err := unix.Poll(ready, int(pause.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil
	case err != nil:
		return false, os.NewSyscallError("poll", err)
	case ready[1].Revents != 0: // closed, by who waits for us to return
		s.count()
		return false, io.EOF
	case ready[0].Revents&unix.POLLERR != 0:
		// An interface went down; where we read all of them the others go on.
		if e, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && e != 0 && e != int(unix.ENETDOWN) {
			return false, os.NewSyscallError("packet socket", unix.Errno(e))
		}
	}
	return n > 0, nil
}

// frame takes the next frame of the block. It reports whether it is to be shown.
func (s *Source) frame(f *capture.Frame) bool {
	const headSize = int(unsafe.Sizeof(unix.Tpacket3Hdr{}))
	if len(s.at) < headSize+unix.SizeofSockaddrLinklayer+16 {
		s.left = 0 // the kernel writes no such block
		return false
	}
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&s.at[0]))
	from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&s.at[(headSize+15)&^15])) // TPACKET_ALIGN
	raw := s.at
	if s.left--; s.left > 0 {
		if h.Next_offset == 0 || int64(h.Next_offset) >= int64(len(s.at)) {
			s.left = 0
		} else {
			s.at = s.at[h.Next_offset:]
		}
	}
	if int(from.Ifindex) == s.loopback && from.Pkttype == unix.PACKET_OUTGOING {
		return false // it comes again as incoming
	}
	begin, end := int(h.Mac), int(h.Mac)+int(h.Snaplen)
	if begin < reserve || end > len(raw) {
		return false
	}
	length := int(h.Len)
	link, ok := linkOf(from.Hatype)
	if !ok {
		link = capture.LinkType(0xffffffff) // counted by the decoder as one that it does not know
	}
	if h.Status&unix.TP_STATUS_VLAN_VALID != 0 && link == capture.LinkEthernet && h.Snaplen >= 12 {
		tag := uint16(unix.ETH_P_8021Q)
		if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			tag = h.Hv1.Vlan_tpid
		}
		begin -= reserve
		length += reserve
		copy(raw[begin:begin+12], raw[begin+reserve:])
		binary.BigEndian.PutUint16(raw[begin+12:], tag)
		binary.BigEndian.PutUint16(raw[begin+14:], uint16(h.Hv1.Vlan_tci))
	}
	s.last++
	*f = capture.Frame{
		Stamp:  capture.Stamp{Time: time.Unix(int64(h.Sec), int64(h.Nsec)), Frame: s.last},
		Data:   raw[begin:end:end],
		Length: length,
		Link:   link,
	}
	return true
}

// linkOf names the link type of an interface by its hardware type (if_arp.h).
func linkOf(hardware uint16) (capture.LinkType, bool) {
	switch hardware {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return capture.LinkEthernet, true
	case unix.ARPHRD_NONE, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_RAWIP, unix.ARPHRD_PPP:
		return capture.LinkRaw, true
	}
	return 0, false
}
