// Command classic is the program that one writes first with gopacket: its TCP
// assembly, a goroutine a stream, net/http for the messages. It is the
// benchmarks' baseline A; bench builds and runs it. It counts and prints one
// line of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/gopacket/tcpassembly"
	"github.com/google/gopacket/tcpassembly/tcpreader"
)

// Counts is what the program prints.
type Counts struct {
	Requests  int   `json:"requests"`
	Responses int   `json:"responses"`
	Exchanges int   `json:"exchanges"` // the fewer of both, by connection
	Bodies    int64 `json:"body_bytes"`
}

func main() {
	lean := flag.Bool("lean", false, "decode lazily, without copying and without a channel")
	flag.Parse()
	if err := run(flag.Arg(0), *lean); err != nil {
		fmt.Fprintln(os.Stderr, "classic:", err)
		os.Exit(1)
	}
}

func run(name string, lean bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := pcapgo.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return err
	}
	streams := &factory{messages: map[connection]*[2]int{}}
	assembler := tcpassembly.NewAssembler(tcpassembly.NewStreamPool(streams))
	packets := gopacket.NewPacketSource(r, r.LinkType())
	packets.Lazy, packets.NoCopy = lean, lean
	var flushed time.Time
	for p := range all(packets, lean) {
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok {
			continue
		}
		at := p.Metadata().Timestamp
		assembler.AssembleWithTimestamp(p.NetworkLayer().NetworkFlow(), tcp, at)
		if at.Sub(flushed) > time.Minute {
			assembler.FlushOlderThan(at.Add(-2 * time.Minute))
			flushed = at
		}
	}
	assembler.FlushAll()
	streams.running.Wait()
	for _, n := range streams.messages {
		streams.counts.Exchanges += min(n[0], n[1])
	}
	return json.NewEncoder(os.Stdout).Encode(streams.counts)
}

// all yields the packets: from the channel, as in gopacket's examples, or by
// calls.
func all(packets *gopacket.PacketSource, lean bool) iter.Seq[gopacket.Packet] {
	return func(yield func(gopacket.Packet) bool) {
		if !lean {
			for p := range packets.Packets() {
				if !yield(p) {
					return
				}
			}
			return
		}
		for {
			p, err := packets.NextPacket()
			if err != nil || !yield(p) {
				return
			}
		}
	}
}

// connection names a connection whatever the direction.
type connection struct{ net, transport uint64 }

// factory makes a stream of each direction.
type factory struct {
	running  sync.WaitGroup
	mu       sync.Mutex
	counts   Counts
	messages map[connection]*[2]int // requests and responses
}

// New starts the goroutine of a stream.
func (f *factory) New(network, transport gopacket.Flow) tcpassembly.Stream {
	s := tcpreader.NewReaderStream()
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		f.read(connection{network.FastHash(), transport.FastHash()}, &s)
	}()
	return &s
}

// read parses the messages of a direction until it ends.
func (f *factory) read(c connection, s io.Reader) {
	var n [2]int
	var bodies int64
	b := bufio.NewReader(s)
	head, _ := b.Peek(5)
	isResponse := strings.HasPrefix(string(head), "HTTP/")
	for {
		var body io.ReadCloser
		var err error
		if isResponse {
			var m *http.Response
			if m, err = http.ReadResponse(b, nil); err == nil {
				body = m.Body
				n[1]++
			}
		} else {
			var m *http.Request
			if m, err = http.ReadRequest(b); err == nil {
				body = m.Body
				n[0]++
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			continue // as the examples do: perhaps the next line begins a message
		}
		size, _ := io.Copy(io.Discard, body)
		body.Close()
		bodies += size
	}
	tcpreader.DiscardBytesToEOF(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.messages[c]
	if all == nil {
		all = new([2]int)
		f.messages[c] = all
	}
	all[0] += n[0]
	all[1] += n[1]
	f.counts.Requests += n[0]
	f.counts.Responses += n[1]
	f.counts.Bodies += bodies
}
