//go:build linux

package live

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"plainsight/capture"
)

// maxProgram is how many instructions the kernel takes (BPF_MAXINSNS).
const maxProgram = 4096

// program is a filter as it is written. Jumps go to labels; they are resolved,
// and made of two where they go far, once all is written.
type program struct {
	code   []instruction
	labels map[label]int
}

type label int

const (
	next label = iota // the instruction that follows
	accept
	refuse
	named // the first label to be given out
)

type instruction struct {
	bpf.Instruction
	yes, no label // of a test; Instruction is then the JumpIf without its skips
	test    bool
	to      label // of a jump
	jump    bool
}

// What a filter reads of a frame, whatever its link layer: offsets from the
// network header, which the kernel knows (SKF_NET_OFF).
const (
	network  = 0xfff00000
	maxBytes = 0x40000
)

// compile writes a filter as a classic BPF program (the kernel's
// networking/filter.rst), which needs no capability of its own. Frames that it
// cannot look into (fragments but the first, tunnels, second tags, MPLS) pass:
// the decoder looks into those. Of the rest, what is no TCP over IP does not.
func compile(f *capture.Filter) ([]bpf.RawInstruction, error) {
	p := &program{labels: map[label]int{}}
	fresh := named
	mark := func() label { fresh++; return fresh - 1 }
	six, ports := mark(), mark()

	p.do(bpf.LoadExtension{Num: bpf.ExtProto})
	p.test(unix.ETH_P_IPV6, six, next)
	for _, wrapped := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD, unix.ETH_P_MPLS_UC, unix.ETH_P_PPP_SES} {
		p.test(wrapped, accept, next)
	}
	p.test(unix.ETH_P_IP, next, refuse)

	p.networks(f, false, mark)
	p.do(bpf.LoadAbsolute{Off: network + 9, Size: 1})
	p.tunnels()
	p.test(unix.IPPROTO_TCP, next, refuse)
	p.do(bpf.LoadAbsolute{Off: network + 6, Size: 2})
	p.add(instruction{Instruction: bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff}, test: true, yes: accept, no: next})
	p.do(bpf.LoadMemShift{Off: network})
	p.add(instruction{jump: true, to: ports})

	p.labels[six] = len(p.code)
	p.networks(f, true, mark)
	p.do(bpf.LoadAbsolute{Off: network + 6, Size: 1})
	p.tunnels()
	p.test(unix.IPPROTO_FRAGMENT, accept, next)
	p.test(unix.IPPROTO_HOPOPTS, accept, next)
	p.test(unix.IPPROTO_ROUTING, accept, next)
	p.test(unix.IPPROTO_DSTOPTS, accept, next)
	p.test(unix.IPPROTO_TCP, next, refuse)
	p.do(bpf.LoadConstant{Dst: bpf.RegX, Val: 40})

	p.labels[ports] = len(p.code) // X holds the length of the network header
	for _, list := range []struct {
		ports []uint16
		found label
	}{{f.ExcludedPorts, refuse}, {f.Ports, accept}} {
		for _, offset := range []uint32{0, 2} {
			if len(list.ports) == 0 {
				continue
			}
			p.do(bpf.LoadIndirect{Off: network + offset, Size: 2})
			for _, port := range list.ports {
				p.test(uint32(port), list.found, next)
			}
		}
	}
	if len(f.Ports) > 0 {
		p.add(instruction{jump: true, to: refuse})
	}
	p.labels[accept] = len(p.code)
	p.do(bpf.RetConstant{Val: maxBytes})
	p.labels[refuse] = len(p.code)
	p.do(bpf.RetConstant{Val: 0})
	return p.assemble()
}

func (p *program) do(in bpf.Instruction) { p.add(instruction{Instruction: in}) }
func (p *program) add(in instruction)    { p.code = append(p.code, in) }

// test compares the accumulator.
func (p *program) test(value uint32, yes, no label) {
	p.add(instruction{Instruction: bpf.JumpIf{Cond: bpf.JumpEqual, Val: value}, test: true, yes: yes, no: no})
}

// tunnels accepts what carries packets of its own.
func (p *program) tunnels() {
	for _, protocol := range []uint32{unix.IPPROTO_UDP, unix.IPPROTO_GRE, unix.IPPROTO_IPIP, unix.IPPROTO_IPV6} {
		p.test(protocol, accept, next)
	}
}

// networks goes on where the networks want a packet, and refuses it where not.
// The longest prefix decides for each end; excluded goes before wanted.
func (p *program) networks(f *capture.Filter, six bool, mark func() label) {
	type entry struct {
		netip.Prefix
		wanted bool
	}
	var all []entry
	for _, n := range f.ExcludedNetworks {
		all = append(all, entry{n, false})
	}
	for _, n := range f.Networks {
		all = append(all, entry{n, true})
	}
	all = slices.DeleteFunc(all, func(e entry) bool { return e.Addr().Is6() != six })
	slices.SortStableFunc(all, func(a, b entry) int { return b.Bits() - a.Bits() })
	wanting := len(f.Networks) > 0

	// The scratch cell says whether an end was on a list that wants it.
	if wanting {
		p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 0})
		p.do(bpf.StoreScratch{Src: bpf.RegA, N: 0})
	}
	source, size := uint32(12), uint32(4)
	if six {
		source, size = 8, 16
	}
	for _, offset := range []uint32{source, source + size} {
		done := mark()
		for _, e := range all {
			miss := mark()
			address, bits := e.Masked().Addr().AsSlice(), e.Bits()
			for word := 0; word*32 < bits; word++ {
				mask := ^uint32(0)
				if left := bits - word*32; left < 32 {
					mask <<= 32 - left
				}
				p.do(bpf.LoadAbsolute{Off: network + offset + uint32(word)*4, Size: 4})
				if mask != ^uint32(0) {
					p.do(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
				}
				a := address[word*4:]
				p.test(uint32(a[0])<<24|uint32(a[1])<<16|uint32(a[2])<<8|uint32(a[3]), next, miss)
			}
			if e.wanted {
				p.do(bpf.LoadConstant{Dst: bpf.RegA, Val: 1})
				p.do(bpf.StoreScratch{Src: bpf.RegA, N: 0})
				p.add(instruction{jump: true, to: done})
			} else {
				p.add(instruction{jump: true, to: refuse})
			}
			p.labels[miss] = len(p.code)
		}
		p.labels[done] = len(p.code)
	}
	if wanting {
		p.do(bpf.LoadScratch{Dst: bpf.RegA, N: 0})
		p.test(1, next, refuse)
	}
}

// assemble resolves the labels. A test reaches 255 instructions, so each is
// written with jumps behind it, which reach everything.
func (p *program) assemble() ([]bpf.RawInstruction, error) {
	place := make([]int, len(p.code)+1) // of each instruction, once tests are three
	for i, in := range p.code {
		place[i+1] = place[i] + 1
		if in.test {
			place[i+1] += 2
		}
	}
	var out []bpf.Instruction
	for i, in := range p.code {
		jump := func(to label) bpf.Jump {
			target := place[i+1]
			if to != next {
				target = place[p.labels[to]]
			}
			return bpf.Jump{Skip: uint32(target - len(out) - 1)}
		}
		switch {
		case in.test:
			t := in.Instruction.(bpf.JumpIf)
			t.SkipTrue, t.SkipFalse = 0, 1
			out = append(out, t)
			out = append(out, jump(in.yes))
			out = append(out, jump(in.no))
		case in.jump:
			out = append(out, jump(in.to))
		default:
			out = append(out, in.Instruction)
		}
	}
	if len(out) > maxProgram {
		return nil, fmt.Errorf("the filter is too long for the kernel (%d instructions, at most %d): name fewer ports or networks", len(out), maxProgram)
	}
	raw, err := bpf.Assemble(out)
	if err != nil {
		return nil, fmt.Errorf("assemble the filter: %w", err)
	}
	return raw, nil
}
