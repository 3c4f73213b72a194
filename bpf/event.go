//go:build linux

package bpf

import (
	"encoding/binary"
	"net/netip"
)

// Kind is what an [Event] says; the numbers are those of enum event_kind.
type Kind uint8

// Kinds of events.
const (
	Data  Kind = Kind(socketsEventKindEVENT_DATA)  // bytes of a direction, in order, at their offset
	Skip  Kind = Kind(socketsEventKindEVENT_SKIP)  // bytes that passed and are not shown
	End   Kind = Kind(socketsEventKindEVENT_END)   // a direction ended; Offset is its length
	Close Kind = Kind(socketsEventKindEVENT_CLOSE) // the socket is gone; Offset is what it received
	Peer  Kind = Kind(socketsEventKindEVENT_PEER)  // the other end of a connection that is told of
)

// Direction is which way bytes went, seen from the socket.
type Direction uint8

// Directions.
const (
	Sent     Direction = Direction(socketsEventDirectionDIRECTION_SENT)
	Received Direction = Direction(socketsEventDirectionDIRECTION_RECEIVED)
)

// Role says who opened a connection.
type Role uint8

// Roles.
const (
	RoleUnknown Role = Role(socketsSocketRoleROLE_UNKNOWN) // it was there before us
	Client      Role = Role(socketsSocketRoleROLE_CLIENT)
	Server      Role = Role(socketsSocketRoleROLE_SERVER)
)

// Reason is why bytes are not shown.
type Reason uint8

// Reasons.
const (
	Shown      Reason = Reason(socketsSkipReasonSKIP_NONE)
	Budget     Reason = Reason(socketsSkipReasonSKIP_BUDGET)     // more than is shown of one call or of one turn
	Unreadable Reason = Reason(socketsSkipReasonSKIP_UNREADABLE) // the system call names no buffer
)

// Event is one record of the ring buffer.
type Event struct {
	Time      uint64 // nanoseconds since boot, suspended time included
	Socket    uint64 // the kernel's cookie of the socket, unique until the next boot
	Offset    uint64 // of the first byte in its direction, from where we joined
	Cgroup    uint64 // id of the process' cgroup, version 2
	Size      uint32 // bytes that passed
	PID       uint32
	NetNS     uint32 // inode of the network namespace
	Kind      Kind
	Direction Direction
	Role      Role
	Reason    Reason
	Joined    bool // the connection was there before us
	Inside    bool // the bytes are the plaintext inside of TLS
	Local     netip.AddrPort
	Remote    netip.AddrPort
	Command   [16]byte // name of the thread, ended by NUL
	Data      []byte   // borrowed: valid until the next event is read
}

// headerSize is sizeof(struct event).
const headerSize = 112

// decode reads a record. It reports whether the record is whole.
func (e *Event) decode(b []byte) bool {
	if len(b) < headerSize {
		return false
	}
	o := binary.NativeEndian
	e.Time, e.Socket, e.Offset, e.Cgroup = o.Uint64(b), o.Uint64(b[8:]), o.Uint64(b[16:]), o.Uint64(b[24:])
	length := o.Uint32(b[36:])
	e.Size, e.PID, e.NetNS = o.Uint32(b[32:]), o.Uint32(b[40:]), o.Uint32(b[44:])
	e.Kind, e.Direction, e.Role, e.Reason = Kind(b[48]), Direction(b[49]&1), Role(b[50]), Reason(b[51])
	e.Joined, e.Inside = b[53] != 0, b[58] != 0
	e.Local = end(b[52], b[64:80], o.Uint16(b[54:]))
	e.Remote = end(b[52], b[80:96], o.Uint16(b[56:]))
	copy(e.Command[:], b[96:112])
	rest := b[headerSize:]
	if uint64(length) > uint64(len(rest)) {
		return false
	}
	e.Data = rest[:length:length]
	return true
}

func end(family byte, address []byte, port uint16) netip.AddrPort {
	if family == 2 { // AF_INET
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(address)).Unmap(), port)
}

// Name is the name of the thread.
func (e *Event) Name() []byte {
	for i, c := range e.Command {
		if c == 0 {
			return e.Command[:i]
		}
	}
	return e.Command[:]
}
