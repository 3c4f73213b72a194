//go:build linux

package probe

import (
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"plainsight/bpf"
)

// Bounds of a file that is looked into: it belongs to somebody else.
const (
	maxTable    = 256 << 20 // bytes of one of its tables
	maxFunction = 64 << 10  // bytes of a function's code
	maxReturns  = 256
)

// library is what was found in a file: which library of TLS it holds, and where.
type library struct {
	name   string
	points []bpf.Point
}

// known are the libraries by the names of their functions, C's calling convention.
// A library is there if its first two functions are.
var known = []struct {
	name      string
	functions []function
}{
	{"OpenSSL", []function{
		{"SSL_write", bpf.SendPart}, {"SSL_read", bpf.ReceivePart}, {"SSL_write_ex", bpf.SendExPart}, {"SSL_read_ex", bpf.ReceiveExPart},
		{"SSL_do_handshake", bpf.HandshakePart}, {"SSL_connect", bpf.HandshakePart}, {"SSL_accept", bpf.HandshakePart}, {"SSL_shutdown", bpf.HandshakePart},
		{"SSL_free", bpf.FreePart},
	}},
	{"GnuTLS", []function{
		{"gnutls_record_send", bpf.SendPart}, {"gnutls_record_recv", bpf.ReceivePart},
		{"gnutls_handshake", bpf.HandshakePart}, {"gnutls_bye", bpf.HandshakePart}, {"gnutls_deinit", bpf.FreePart},
	}},
}

type function struct {
	symbol string
	part   bpf.Part
}

// methods are those of Go's crypto/tls.
var methods = []function{
	{"crypto/tls.(*Conn).Write", bpf.GoSendPart}, {"crypto/tls.(*Conn).Read", bpf.GoReceivePart},
	{"crypto/tls.(*Conn).HandshakeContext", bpf.GoHandshakePart}, {"crypto/tls.(*Conn).Close", bpf.GoFreePart},
}

// errNoTLS says that a file holds no library that is known.
var errNoTLS = errors.New("holds no TLS library that is known")

// inspect finds the functions of a TLS library in an executable or a shared object.
func inspect(file *os.File) (l *library, err error) {
	defer func() { // debug/elf and debug/gosym are not meant for hostile files
		if recover() != nil {
			l, err = nil, errors.New("its tables contradict themselves")
		}
	}()
	f, err := elf.NewFile(file)
	if err != nil {
		return nil, fmt.Errorf("no executable: %w", err)
	}
	if f.Section(".gopclntab") != nil || f.Section(".data.rel.ro.gopclntab") != nil || f.Section(".go.buildinfo") != nil {
		l, err := inspectGo(f)
		if err == nil || !errors.Is(err, errNoTLS) {
			return l, err
		}
	}
	at := map[string]uint64{}
	for _, section := range f.Sections {
		if section.Type != elf.SHT_SYMTAB && section.Type != elf.SHT_DYNSYM {
			continue
		}
		if section.Size > maxTable {
			return nil, errors.New("its table of symbols is too long")
		}
		symbols := f.DynamicSymbols
		if section.Type == elf.SHT_SYMTAB {
			symbols = f.Symbols
		}
		all, err := symbols()
		if err != nil {
			continue
		}
		for _, s := range all {
			if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Section == elf.SHN_UNDEF || s.Value == 0 {
				continue
			}
			if offset, ok := offsetOf(f, s.Value); ok {
				at[s.Name] = offset
			}
		}
	}
	for _, k := range known {
		if at[k.functions[0].symbol] == 0 || at[k.functions[1].symbol] == 0 {
			continue
		}
		l := &library{name: k.name}
		for _, f := range k.functions {
			if offset := at[f.symbol]; offset != 0 {
				l.points = append(l.points, bpf.Point{Part: f.part, Entry: offset})
			}
		}
		return l, nil
	}
	return nil, errNoTLS
}

// offsetOf is where in the file the code at an address lies.
func offsetOf(f *elf.File, address uint64) (uint64, bool) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && address >= p.Vaddr && address-p.Vaddr < p.Filesz {
			return address - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// inspectGo finds the methods through the table of lines that every program of
// Go carries, stripped or not (debug/gosym; src/runtime/symtab.go).
func inspectGo(f *elf.File) (*library, error) {
	section := f.Section(".gopclntab")
	if section == nil {
		section = f.Section(".data.rel.ro.gopclntab")
	}
	text := f.Section(".text")
	if section == nil || text == nil {
		return nil, errNoTLS
	}
	if section.Size > maxTable {
		return nil, errors.New("its table of lines is too long")
	}
	lines, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("its table of lines: %w", err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, text.Addr))
	if err != nil {
		return nil, fmt.Errorf("its table of lines: %w", err)
	}
	l := &library{name: "Go crypto/tls"}
	for _, m := range methods {
		fn := table.LookupFunc(m.symbol)
		if fn == nil {
			if m.part == bpf.GoSendPart || m.part == bpf.GoReceivePart {
				return nil, errNoTLS
			}
			continue
		}
		p, err := goPoint(f, fn, m.part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.symbol, err)
		}
		l.points = append(l.points, p)
	}
	return l, nil
}

// goPoint finds the returns of a function.
func goPoint(f *elf.File, fn *gosym.Func, part bpf.Part) (bpf.Point, error) {
	p := bpf.Point{Part: part}
	size := fn.End - fn.Entry
	if fn.End <= fn.Entry || size > maxFunction {
		return p, errors.New("a function without an end")
	}
	entry, ok := offsetOf(f, fn.Entry)
	if !ok {
		return p, errors.New("lies in no code")
	}
	code := make([]byte, size)
	for _, s := range f.Progs {
		if s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 && fn.Entry >= s.Vaddr && fn.Entry-s.Vaddr < s.Filesz {
			if _, err := s.ReadAt(code, int64(fn.Entry-s.Vaddr)); err != nil && !errors.Is(err, io.EOF) {
				return p, fmt.Errorf("its code: %w", err)
			}
		}
	}
	p.Entry = entry
	returns, err := returnsOf(f.Machine, code)
	if err != nil {
		return p, err
	}
	if len(returns) == 0 || len(returns) > maxReturns {
		return p, fmt.Errorf("%d returns", len(returns))
	}
	for _, r := range returns {
		p.Returns = append(p.Returns, entry+r)
	}
	return p, nil
}

// returnsOf are the offsets of the return instructions of a function.
func returnsOf(machine elf.Machine, code []byte) (all []uint64, err error) {
	switch machine {
	case elf.EM_X86_64:
		for at := 0; at < len(code); {
			in, err := x86asm.Decode(code[at:], 64)
			if err != nil {
				return nil, fmt.Errorf("an instruction that is not known, %d bytes in", at)
			}
			if in.Op == x86asm.RET {
				all = append(all, uint64(at))
			}
			at += in.Len
		}
	case elf.EM_AARCH64:
		for at := 0; at+4 <= len(code); at += 4 {
			in, err := arm64asm.Decode(code[at:])
			if err == nil && in.Op == arm64asm.RET { // data lies between instructions, too
				all = append(all, uint64(at))
			}
		}
	default:
		return nil, fmt.Errorf("code for %s", machine)
	}
	return all, nil
}
