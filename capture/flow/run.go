package flow

import (
	"context"
	"errors"
	"io"
	"sync"

	"plainsight/capture"
	"plainsight/capture/packet"
)

const (
	batchSegments = 256
	batchBytes    = 256 << 10
	batchesAhead  = 4 // that wait for a shard
	framesACheck  = 256
)

// Run drives a source through n engines until it ends or ctx does, and returns
// what all of them counted. newHandler makes the handler of each shard; the
// calls to one handler come from one goroutine, and none after Run returns.
//
// With n below two all is done in the calling goroutine. Otherwise it decodes,
// and the segments of a connection go to the same shard in batches. What is
// concluded of a connection does not depend on n as long as no bound is reached
// that is shared out.
//
// An error of the source is returned after what came before it was concluded;
// so is that of ctx. Run does not close src. A source that waits for traffic
// must end when ctx does, by itself.
func Run(ctx context.Context, src capture.Source, n int, o Options, newHandler func(shard int) capture.Handler) (capture.Counts, error) {
	if n < 2 {
		e := New(o, newHandler(0))
		err := pump(ctx, src, e.Frame, e.Quiet)
		e.Close()
		return e.counts, err
	}
	s := newShards(n, o, newHandler)
	err := pump(ctx, src, s.frame, s.quiet)
	return s.close(), err
}

// pump gives the frames of a source to take, and its pauses to quiet.
func pump(ctx context.Context, src capture.Source, take func(*capture.Frame), quiet func(capture.Stamp)) error {
	var f capture.Frame
	for i := 0; ; i++ {
		if i%framesACheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch err := src.Next(&f); {
		case err == capture.ErrQuiet:
			quiet(f.Stamp)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		take(&f)
	}
}

// item is a segment on its way to a shard, with the time of the clock and its
// claim.
type item struct {
	packet.Segment
	now, claim int64
}

// batch is what a shard is given at once. It owns the bytes of the segments.
type batch struct {
	items []item
	bytes []byte
	quiet int64 // the time, where the source paused after the items; else 0
}

type shard struct {
	*Engine
	in      chan *batch
	free    chan *batch
	filling *batch
}

type shards struct {
	all     []shard
	running sync.WaitGroup
	counts  capture.Counts // of decoding
	decoder *packet.Decoder
	segment packet.Segment
	clock   clock
}

func newShards(n int, o Options, newHandler func(shard int) capture.Handler) *shards {
	o = o.withDefaults()
	s := &shards{all: make([]shard, n), decoder: packet.New(o.Packet)}
	for i := range s.all {
		sh := &s.all[i]
		sh.Engine = New(o.shard(n), newHandler(i))
		sh.in = make(chan *batch, batchesAhead)
		sh.free = make(chan *batch, batchesAhead+2) // all that exist
		for range cap(sh.free) {
			sh.free <- &batch{items: make([]item, 0, batchSegments), bytes: make([]byte, 0, batchBytes)}
		}
		sh.filling = <-sh.free
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			sh.run()
		}()
	}
	return s
}

// run works until there are no more batches, and then ends the connections.
func (sh *shard) run() {
	for b := range sh.in {
		for i := range b.items {
			sh.take(&b.items[i].Segment, b.items[i].now, b.items[i].claim)
		}
		if b.quiet != 0 {
			sh.pause(b.quiet)
		}
		b.items, b.bytes, b.quiet = b.items[:0], b.bytes[:0], 0
		sh.free <- b
	}
	sh.Close()
}

// frame decodes a frame and puts its segment into the batch of its shard.
func (s *shards) frame(f *capture.Frame) {
	now := s.clock.tick(f.Time, &s.counts)
	if !s.decoder.Decode(f, &s.segment, &s.counts) {
		return
	}
	sh := &s.all[uint64(s.segment.Flow)*uint64(len(s.all))>>32]
	b := sh.filling
	if len(b.items) > 0 && (len(b.items) == batchSegments || len(b.bytes)+len(s.segment.Bytes) > cap(b.bytes)) {
		sh.in <- b
		b = <-sh.free
		sh.filling = b
	}
	from, head := len(b.bytes), len(s.segment.Bytes)-len(s.segment.Payload)
	b.bytes = append(b.bytes, s.segment.Bytes...) // grows only if one segment is larger than a batch
	b.items = append(b.items, item{s.segment, now, s.clock.claim})
	own := b.bytes[from:len(b.bytes):len(b.bytes)]
	last := &b.items[len(b.items)-1].Segment
	last.Bytes, last.Payload = own, own[head:]
}

// quiet hands on what waits, and the time.
func (s *shards) quiet(at capture.Stamp) {
	now := s.clock.tick(at.Time, &s.counts)
	for i := range s.all {
		sh := &s.all[i]
		sh.filling.quiet = now
		sh.in <- sh.filling
		sh.filling = <-sh.free
	}
}

// close empties the batches into the shards, waits for them and adds up.
func (s *shards) close() capture.Counts {
	s.decoder.Close(&s.counts)
	for i := range s.all {
		sh := &s.all[i]
		if s.clock.set {
			sh.filling.quiet = s.clock.now // the end is the same for all
		}
		sh.in <- sh.filling
		close(sh.in)
	}
	s.running.Wait()
	for i := range s.all {
		s.counts.Add(&s.all[i].counts)
	}
	return s.counts
}
