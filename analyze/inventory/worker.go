package inventory

import (
	"bytes"
	"hash/crc32"
	"net/netip"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/operation"
	"plainsight/analyze/posture"
	"plainsight/analyze/sensitive"
	"plainsight/analyze/shape"
	"plainsight/analyze/tally"
	"plainsight/capture"
)

// worker implements capture.Handler for one shard. All its buffers live as long
// as it does, so that an exchange of a known kind allocates nothing but for the
// sensitive data in it.
type worker struct {
	in       *Inventory
	state    state
	reader   *posture.Reader
	scanner  *sensitive.Scanner
	walker   body.Walker // of bodies
	queries  body.Walker // of queries
	recorder shape.Recorder
	conns    map[uint64]*conn
	seals    map[uint64]seal           // of connections that a probe may read
	spare    []*conn                   // those that ended, to be used again
	loose    conn                      // of an exchange that came without addresses
	servers  map[netip.AddrPort]string // how their addresses are written …
	clients  map[netip.Addr]string     // … and those of clients
	hosts    map[string]*service
	names    [2]map[string][]byte // as they are, and in lower case
	places   map[analyze.Place]analyze.Place
	fields   map[string]*field // of bodies, by the two nearest names
	calls    calls

	operations operation.Reader
	child      func() *record // makes one

	// Of the exchange at hand.
	o       *posture.Observation
	rec     *record   // nil where the exchange is no endpoint's
	members []*record // of the operations of a batch, whose own record is rec
	made    bool      // the answer speaks for the path
	svc     *service
	teach   bool // the request says what is expected there
	visitor visitor
	decoded []byte
	scratch []byte
	query   func(name, value []byte)
	cookie  func(name, value []byte)
}

// conn is what exchanges of one connection have in common.
type conn struct {
	client, server string // address; address:port
	clientHash     uint64
	end            netip.Addr     // of the client
	at             netip.AddrPort // of the server
	edges          [4]connEdge    // the last ones used
	n              int
	tls            *edge
	sealed         seal // of a connection whose TLS is read at one of its ends
}

// seal is how a connection is encrypted. It outlives what is remembered of the
// connection beside it.
type seal struct{ version, cipher uint16 }

type connEdge struct {
	service *service
	edge    *edge
}

func newWorker(in *Inventory, n int) *worker {
	w := &worker{
		in:      in,
		reader:  posture.NewReader(in.opts.Key, posture.Options{}),
		names:   [2]map[string][]byte{{}, {}},
		places:  map[analyze.Place]analyze.Place{},
		fields:  map[string]*field{},
		servers: map[netip.AddrPort]string{},
		clients: map[netip.Addr]string{},
	}
	w.scanner = w.newScanner()
	w.state.worker = n
	w.state.folded = func() { clear(w.hosts) }
	w.state.reset(&in.opts)
	w.child = w.state.newRecord
	w.query, w.cookie = w.takeQuery, w.takeCookie
	w.visitor.w = w
	w.forget()
	return w
}

func (w *worker) newScanner() *sensitive.Scanner {
	o := &w.in.opts
	return sensitive.NewScanner(sensitive.Options{Key: o.Key, Hits: o.Hits, Rules: o.Rules})
}

// forget drops what points into the state.
func (w *worker) forget() {
	w.conns, w.hosts = map[uint64]*conn{}, map[string]*service{}
	if w.seals == nil {
		w.seals = map[uint64]seal{}
	}
}

const (
	maxNames = 8192
	maxHosts = 8192
)

// conn returns what is remembered of a connection.
func (w *worker) conn(c *capture.Conn) *conn {
	if !c.Server.IsValid() { // a log of exchanges: each line is a connection
		w.loose = conn{client: w.loose.client, end: w.loose.end, clientHash: w.loose.clientHash}
		if a := c.Client.Addr(); a != w.loose.end {
			w.setClient(&w.loose, a)
		}
		return &w.loose
	}
	if k := w.conns[c.ID]; k != nil {
		return k
	}
	if len(w.conns) >= w.in.opts.Connections {
		clear(w.conns)
		w.state.counts[connectionsForgotten]++
	}
	var k *conn
	if n := len(w.spare); n > 0 {
		k, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		k = new(conn)
	}
	k.sealed = w.seals[c.ID]
	k.at, k.server = c.Server, text(w.servers, c.Server, addressName)
	w.setClient(k, c.Client.Addr())
	w.conns[c.ID] = k
	return k
}

// text is how an address is written, made once for those that come again.
func text[A comparable](known map[A]string, a A, write func(A) string) string {
	s, ok := known[a]
	if !ok {
		if len(known) >= maxHosts {
			clear(known)
		}
		s = write(a)
		known[a] = s
	}
	return s
}

func (w *worker) setClient(k *conn, a netip.Addr) {
	k.end, k.client = a, ""
	if a.IsValid() {
		k.end = a.Unmap().WithZone("")
		k.client = text(w.clients, k.end, netip.Addr.String)
	}
	b := k.end.As16()
	k.clientHash = tally.Hash(b[:])
}

// service finds the service a request was meant for.
func (w *worker) service(authority []byte, k *conn) *service {
	key := authority
	if len(key) == 0 {
		key = append(append(w.scratch[:0], '\n'), k.server...) // no host can look like this
		w.scratch = key
	}
	if s := w.hosts[string(key)]; s != nil {
		return s
	}
	name := hostName(authority)
	if name == "" {
		name = addressName(k.at)
	}
	s := w.state.service(name)
	if len(w.hosts) >= maxHosts {
		clear(w.hosts)
	}
	if len(key) <= 512 {
		w.hosts[string(key)] = s
	}
	return s
}

// name returns the name of a parameter as it may be kept, lower case for
// headers. It is owned and shared.
func (w *worker) name(text []byte, lower bool) []byte {
	known := w.names[0]
	if lower {
		known = w.names[1]
	}
	if n, ok := known[string(text)]; ok {
		return n
	}
	if len(text) > 4*analyze.MaxText {
		text = text[:4*analyze.MaxText]
	}
	n := analyze.Name(text)
	if lower {
		n = strings.ToLower(n)
	}
	owned := []byte(n)
	if len(text) > analyze.MaxText {
		return owned // seen once
	}
	if len(known) >= maxNames {
		clear(known)
	}
	known[string(text)] = owned
	return owned
}

// place returns a place as it may be kept.
func (w *worker) place(p analyze.Place) analyze.Place {
	if q, ok := w.places[p]; ok {
		return q
	}
	q := p
	if p.Where != analyze.InPath {
		q.Name = string(w.name([]byte(p.Name), p.Where == analyze.InHeader))
	}
	if len(w.places) >= maxNames {
		clear(w.places)
	}
	w.places[p] = q
	return q
}

func wireOf(x *capture.Exchange) analyze.Wire {
	if x.Conn.Encrypted {
		return analyze.TLS
	}
	return analyze.Plaintext
}

func moment(s capture.Stamp, c *capture.Conn) tally.Moment {
	return tally.Moment{Nano: nano(s.Time), Frame: s.Frame, Conn: c.ID}
}

// nano is a time as the summaries keep it, 0 where it is not known.
func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Exchange implements capture.Handler.
func (w *worker) Exchange(x *capture.Exchange) {
	k := w.conn(x.Conn)
	start := x.Request.Start
	if !x.Request.Seen {
		start = x.Response.Start
	}
	at := moment(start, x.Conn)
	w.state.counts[exchanges]++
	w.state.span.Add(at.Nano)

	svc := w.service(x.Authority, k)
	w.svc = svc
	svc.requests++
	svc.span.Add(at.Nano)
	if k.at.IsValid() {
		svc.addresses.At(k.at, func() *struct{} { return nil })
	}
	wire := wireOf(x)
	svc.plaintext = svc.plaintext || wire == analyze.Plaintext
	svc.encrypted = svc.encrypted || wire == analyze.TLS

	o := w.reader.Begin()
	w.o = o
	o.At, o.Time = at, start.Time
	o.Client, o.Server, o.ServerName = x.Conn.Client, x.Conn.Server, k.server
	o.Wire, o.Method, o.Host, o.Status = wire, methodName(x.Method), svc.name, x.Status
	path, query := splitTarget(x.Target)
	o.Path = path
	o.RequestBody, o.ResponseBody, o.ResponseSize = x.Request.Body, x.Response.Body, x.Response.DecodedSize
	o.Expansion = [2]posture.Expansion{expansion(&x.Request), expansion(&x.Response)}
	o.Latency = x.Latency()
	o.Smuggled = smuggled(&x.Request)
	o.Partial = !x.Request.Seen || x.Request.Flaws&(capture.FlawGap|capture.FlawCut|capture.FlawMidstream|capture.FlawHeadLimit) != 0

	w.rec, w.made, w.teach, w.members = nil, false, false, w.members[:0]
	o.Frozen = w.state.weight >= w.in.opts.Memory
	switch {
	case !x.Request.Seen:
		w.state.counts[responsesOnly]++
	case len(x.Method) == 0 || len(x.Target) == 0: // HTTP/2 joined midway: what is not known is no endpoint
	case endpoint.Noise(x.Method, path) && !svc.tree.Routed([]byte(x.Method), path):
	default:
		made := answered(x) && w.state.records < w.in.opts.Endpoints && !o.Frozen
		if answered(x) && !made {
			w.state.counts[endpointLimit]++
		}
		method := []byte(x.Method)
		if o.Method == "(other)" {
			method = otherMethod
		}
		held := svc.tree.Records()
		rec, ok := svc.tree.At(method, path, made)
		w.state.records += svc.tree.Records() - held
		if ok {
			w.rec, w.made, w.teach = rec, made, made || sound(x.Status) && !o.Frozen
			w.operation(x, path, query)
		}
		if made {
			svc.tree.Page(page(x))
		}
	}

	before := w.weight()
	w.response(x)
	w.request(x, path, query)
	o.Done()
	w.conclude(x, k)
	w.state.weight += w.weight() - before
	w.rec, w.svc, w.o = nil, nil, nil
}

// sound reports whether a request that was not answered well may still have been
// well formed: it was refused for who sent it, how often, or what is not there,
// or the server broke. A 400 or 422 may be about the very names it used.
func sound(status int) bool {
	switch status {
	case 401, 402, 403, 404, 409, 410, 412, 423, 429:
		return true
	}
	return status >= 500
}

// weight is that of the record at hand.
func (w *worker) weight() int {
	if w.rec == nil {
		return 0
	}
	return w.rec.weight()
}

// answered reports whether the answer speaks for the path being an endpoint.
// Redirects to TLS and to a login are given to any path.
func answered(x *capture.Exchange) bool {
	switch {
	case x.GRPC != nil && x.GRPC.Status == unimplemented:
		return false
	case x.Status == 101, x.Status >= 200 && x.Status < 300, x.Status == 304:
		return true
	case x.Status >= 300 && x.Status < 400:
		to := x.Response.Get("location")
		return !(bytes.HasPrefix(to, []byte("https://")) && !x.Conn.Encrypted) && !bytes.Contains(to, []byte("login")) && !bytes.Contains(to, []byte("signin"))
	}
	return false
}

// unimplemented is the status of gRPC for a method that is not there.
const unimplemented = 12

// page is the hash of an answer that is an HTML page, 0 for others.
func page(x *capture.Exchange) uint64 {
	b := x.Response.Body
	if len(b) == 0 || !bytes.Contains(x.Response.Get("content-type"), []byte("html")) {
		return 0
	}
	return uint64(len(b))<<32 | uint64(crc32.Checksum(b, castagnoli)) | 1
}

var otherMethod = []byte("(other)")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// expansion is what undoing its content coding made of a message's body.
func expansion(m *capture.Message) posture.Expansion {
	return posture.Expansion{Coded: m.BodySize, Decoded: m.DecodedSize, Stopped: m.Flaws&capture.FlawDecodeLimit != 0}
}

// smuggled translates the flaws of a request, as far as no lost byte explains
// them.
func smuggled(m *capture.Message) posture.Smuggling {
	if m.Flaws == 0 || m.Flaws&(capture.FlawGap|capture.FlawCut|capture.FlawMidstream|capture.FlawSnapped) != 0 {
		return 0
	}
	var s posture.Smuggling
	for _, f := range smugglings {
		if m.Flaws&f.flaw != 0 {
			s |= f.is
		}
	}
	return s
}

var smugglings = []struct {
	flaw capture.Flaw
	is   posture.Smuggling
}{
	{capture.FlawLengthAndChunked, posture.BothLengths}, {capture.FlawLengthConflict, posture.TwoLengths}, {capture.FlawChunk, posture.BadChunk},
	{capture.FlawTransferEncoding, posture.OddCoding}, {capture.FlawFold, posture.FoldedHeader}, {capture.FlawBareLF, posture.BareLineFeed},
	{capture.FlawHeaderSpace, posture.SpacedHeader}, {capture.FlawNUL, posture.NulByte}, {capture.FlawLengthInvalid, posture.InvalidLength},
}

// request reads what the client sent.
func (w *worker) request(x *capture.Exchange, path, query []byte) {
	o := w.o
	w.scanner.Reset(sensitive.Message{Side: analyze.Request, Time: o.Time})
	w.visitor.whole = w.visitor.whole[:0]
	if w.teach && !o.SoftFailure {
		w.rec.shapes.Message()
	} else {
		w.teach = false
	}
	w.segments(path)
	w.queries.Query(query, w.query)
	for i := range x.Request.Headers {
		h := &x.Request.Headers[i]
		w.requestHeader(h.Name, h.Value)
	}
	if len(x.Request.Body) > 0 {
		var set *shape.Set
		if w.teach {
			set = w.rec.shapes
		}
		w.walk(&x.Request, analyze.Request, 0, set)
	}
	w.take()
}

// response reads what the server sent.
func (w *worker) response(x *capture.Exchange) {
	if !x.Response.Seen {
		return
	}
	w.scanner.Reset(sensitive.Message{Side: analyze.Response, Time: w.o.Time})
	w.visitor.whole = w.visitor.whole[:0]
	grpc := false
	for i := range x.Response.Headers {
		h := &x.Response.Headers[i]
		w.o.ResponseHeader(h.Name, h.Value)
		w.scanner.Header(h.Name, h.Value)
		grpc = grpc || failedGRPC(h)
	}
	for i := range x.Response.Trailer {
		grpc = grpc || failedGRPC(&x.Response.Trailer[i])
	}
	w.visitor.soft = softness{}
	if len(x.Response.Body) > 0 {
		var set *shape.Set
		if w.rec != nil && !w.o.Frozen {
			set = w.rec.shapes
		}
		w.walk(&x.Response, analyze.Response, x.Status, set)
	}
	w.o.SoftFailure = x.Status >= 200 && x.Status < 300 && (grpc || w.visitor.soft.failed())
	w.take()
}

func failedGRPC(h *capture.Header) bool {
	return capture.EqualFold(h.Name, "grpc-status") && string(h.Value) != "0"
}

// walk reads a body once for all who want to know of it.
func (w *worker) walk(m *capture.Message, side analyze.Side, status int, set *shape.Set) {
	ctype := m.Get("content-type")
	v := &w.visitor
	v.side, v.depth, v.key, v.above, v.items, v.set = side, 0, nil, nil, 0, set != nil
	v.list = 0
	if set != nil {
		w.recorder.Open(set, side, status, ctype)
	}
	v.echo = side == analyze.Response && w.made
	r := w.walker.Walk(ctype, m.Body, v)
	if set != nil {
		w.recorder.Close(r.Complete && !m.Truncated)
	}
	if r.Format == body.None {
		w.state.counts[bodiesOpaque]++
	} else if m.Truncated || !r.Complete {
		w.state.counts[bodiesPartial]++
	} else {
		w.state.counts[bodiesRead]++
	}
}

// segments looks at the path for sensitive data. An identifier in a path is no
// secret: the scanner is told what stands before it.
func (w *worker) segments(path []byte) {
	var previous []byte
	for i := 0; len(path) > 0 && i < 32; i++ {
		path = path[1:]
		segment := path
		if j := bytes.IndexByte(path, '/'); j >= 0 {
			segment, path = path[:j], path[j:]
		} else {
			path = nil
		}
		text := segment
		if bytes.IndexByte(segment, '%') >= 0 {
			w.decoded = body.Unescape(w.decoded[:0], segment)
			text = w.decoded
		}
		w.scanner.Segment(i, previous, text)
		w.visitor.judge(w.scanner.Hits(), text)
		w.o.Segment(i, text)
		previous = segment
	}
}

func (w *worker) takeQuery(name, value []byte) {
	if w.teach {
		w.rec.shapes.Parameter(analyze.InQuery, w.name(name, false), value)
	}
	before := len(w.o.Credentials)
	w.o.Parameter(name, value)
	if len(w.o.Credentials) == before {
		w.scanner.Parameter(name, value)
		w.visitor.judge(w.scanner.Hits(), value)
	}
}

func (w *worker) takeCookie(name, value []byte) {
	safe := w.name(name, false)
	if w.teach {
		w.rec.shapes.Parameter(analyze.InCookie, safe, value)
	}
	for i := range w.o.Credentials {
		if c := &w.o.Credentials[i]; c.Place.Where == analyze.InCookie && c.Place.Name == string(safe) {
			return // it is known what it is
		}
	}
	w.scanner.Cookie(false, name, value)
}

// requestHeader gives a header to those whom it concerns. A credential that was
// recognised is not looked at again.
func (w *worker) requestHeader(name, value []byte) {
	before := len(w.o.Credentials)
	w.o.RequestHeader(name, value)
	if capture.EqualFold(name, "cookie") {
		body.Cookies(value, w.cookie)
		return
	}
	lower := w.name(name, true)
	if usual[string(lower)] {
		return
	}
	if len(w.o.Credentials) == before {
		w.scanner.Header(name, value)
	}
	if w.teach {
		w.rec.shapes.Parameter(analyze.InHeader, lower, value)
	}
}

// usual headers come with any client and are no parameters of an endpoint.
var usual = func() map[string]bool {
	m := map[string]bool{}
	for _, h := range []string{
		"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding", "content-length", "content-type", "cookie", "date", "dnt", "expect",
		"host", "keep-alive", "max-forwards", "origin", "pragma", "priority", "proxy-connection", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
		"sec-fetch-site", "sec-fetch-user", "sec-gpc", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "via",
		"x-request-id", "x-correlation-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-server", "forwarded", "x-real-ip",
		"x-amzn-trace-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3", "baggage", "x-cloud-trace-context", "x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms",
		"x-envoy-external-address", "x-envoy-decorator-operation", "cf-ray", "cf-connecting-ip", "cf-ipcountry", "cf-visitor", "cdn-loop", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
		"sentry-trace", "x-requested-with", "save-data", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "http2-settings",
	} {
		m[h] = true
	}
	return m
}()

// take moves the scanner's hits into the observation, one for each kind and
// place of the message.
func (w *worker) take() {
	o := w.o
	from := len(o.Hits)
	hits := w.scanner.Hits()
	for i := range hits {
		h := &hits[i]
		if h.Flags&sensitive.Masked != 0 {
			continue
		}
		p := w.place(h.Place)
		if strings.HasSuffix(p.Name, "{*}") && (h.Detector.ID == "password" || h.Detector.ID == "pin_code" || h.Detector.ID == "otp_code") {
			continue // the name that spoke for it is itself a value
		}
		whole := 0
		if i < len(w.visitor.whole) && w.visitor.whole[i] {
			whole = 1
		}
		known := false
		for j := from; j < len(o.Hits); j++ {
			if k := &o.Hits[j]; k.Kind == h.Detector.ID && k.Place == p {
				k.Values++
				k.Whole += whole
				k.Test = k.Test && h.Flags&(sensitive.Test|sensitive.Documentation) != 0
				known = true
				break
			}
		}
		if !known {
			o.Hit(posture.Hit{Kind: h.Detector.ID, Category: string(h.Detector.Category), Place: p, Severity: h.Severity(o.Wire), Sample: h.Sample(), Values: 1, Whole: whole,
				Test: h.Flags&(sensitive.Test|sensitive.Documentation) != 0})
		}
	}
}

// conclude adds the exchange to all that is counted.
func (w *worker) conclude(x *capture.Exchange, k *conn) {
	o, svc, rec := w.o, w.svc, w.rec
	var state *posture.State
	if rec != nil {
		state = &rec.state
	}
	posture.Observe(o, state, &svc.state)
	w.state.ledger.Observe(o, svc.name)
	if rec == nil || !o.Success {
		posture.ObserveAgain(o, &svc.stray)
	}
	e := w.edge(k, o.Wire)
	e.exchanges++
	e.span.Add(o.At.Nano)
	if k == &w.loose { // nobody will tell its totals
		e.bytes += x.Request.BodySize + x.Response.BodySize
	}
	if rec != nil {
		w.count(rec, x, k)
		w.found()
		rec.in += x.Request.BodySize
		rec.out += x.Response.BodySize
		for _, m := range w.members {
			w.count(m, x, k)
			m.batched++
		}
	} else {
		w.state.counts[noiseExchanges]++
	}
	if w.in.opts.Calls != nil {
		w.call(x, k)
	}
}

// count adds the exchange to an endpoint.
func (w *worker) count(rec *record, x *capture.Exchange, k *conn) {
	o := w.o
	rec.requests++
	rec.span.Add(o.At.Nano)
	rec.clients.Add(k.clientHash)
	if o.Success && o.FromOutside() {
		rec.outside++
	}
	if end := endOf(&x.Response); end != 0 {
		rec.retire(end)
		if o.Success && o.At.Nano > end*1e9 {
			rec.overdue++
		}
	}
	rec.latency.Add(x.Latency())
	if o.Wire == analyze.TLS {
		rec.encrypted++
	} else {
		rec.plaintext++
	}
	if x.Status == 0 {
		rec.unanswered++
	} else {
		rec.statuses.Add(x.Status, 1)
	}
	if o.Auth == "none" {
		rec.auth.Add("none", 1)
	}
	for i := range o.Credentials {
		if authenticates(o.Credentials, i) && !(refused(o.Status) && o.Credentials[i].InURL()) {
			rec.auth.Add(o.Credentials[i].Label, 1)
		}
	}
}

// found adds the sensitive data of the exchange to its endpoint.
func (w *worker) found() {
	o := w.o
	for i := range o.Credentials {
		if c := &o.Credentials[i]; c.Kind.Sensitive() != "" {
			w.credential(c.Kind.Sensitive(), c.Place, c.Sample)
		}
	}
	for i := range o.SetCookies {
		if c := &o.SetCookies[i]; c.Session {
			w.credential("session_cookie", c.Place, c.Sample)
		}
	}
	for i := range o.Hits {
		if h := &o.Hits[i]; !taken(o, h.Place) {
			if o.Message {
				h.Place = inMessage(h.Place)
			}
			w.rec.find(h, o.At, o.Frozen)
		}
	}
}

// refused reports whether an answer is that to a caller who is not let in. A token
// in the URL of such a request opened nothing: it need not be a credential.
func refused(status int) bool { return status == 401 || status == 403 }

// authenticates reports whether the i-th credential says who calls: it is the
// first of its label, and one in the URL counts only where no header has one (a
// token that a request is about is a parameter).
func authenticates(list []posture.Credential, i int) bool {
	if list[i].Label == "apikey:query:client_secret" {
		return false // of an application at a token endpoint
	}
	for j := range list {
		if j < i && list[j].Label == list[i].Label || list[i].InURL() && !list[j].InURL() {
			return false
		}
	}
	return true
}

// taken reports whether a place holds a session cookie that was counted.
func taken(o *posture.Observation, p analyze.Place) bool {
	if p.Where != analyze.InSetCookie {
		return false
	}
	for i := range o.SetCookies {
		if o.SetCookies[i].Session && o.SetCookies[i].Place == p {
			return true
		}
	}
	return false
}

// detectors finds a detector by its id.
var detectors = func() map[string]*sensitive.Detector {
	m := map[string]*sensitive.Detector{}
	for i := range sensitive.Detectors {
		m[sensitive.Detectors[i].ID] = &sensitive.Detectors[i]
	}
	return m
}()

// credential adds a recognised credential to the sensitive data of the endpoint.
func (w *worker) credential(kind string, p analyze.Place, s analyze.Sample) {
	d := detectors[kind]
	w.rec.find(&posture.Hit{Kind: d.ID, Category: string(d.Category), Place: p, Severity: sensitive.Severity(d, p, w.o.Wire), Sample: s, Values: 1}, w.o.At, w.o.Frozen)
}

// edge is the cell of the matrix that an exchange of a connection belongs to.
func (w *worker) edge(k *conn, wire analyze.Wire) *edge {
	for i := range k.n {
		if k.edges[i].service == w.svc {
			return k.edges[i].edge
		}
	}
	key := edgeKey{client: k.end, server: k.at, service: w.svc.name, wire: wire}
	if wire == analyze.TLS { // what a probe read inside of it is the connection that was seen on the wire
		key.version, key.cipher = k.sealed.version, k.sealed.cipher
	}
	e := w.cell(key)
	if k.n < len(k.edges) {
		k.edges[k.n] = connEdge{w.svc, e}
		k.n++
		if k.tls != e {
			e.connections++
		}
		if k.tls != nil && k.tls != e && k.n == 1 {
			k.tls.connections--
			k.tls = e
		}
	}
	return e
}

func (w *worker) cell(key edgeKey) *edge {
	if e, ok := w.state.edges.At(key, newEdge); ok {
		return e
	}
	return new(edge) // beyond the limit: counted by nobody
}

// Handshake implements capture.Handler.
func (w *worker) Handshake(h *capture.Handshake) {
	w.state.counts[handshakes]++
	if !h.ServerSeen {
		w.state.counts[handshakesUnanswered]++
		return
	}
	k := w.conn(h.Conn)
	sni := hostName([]byte(h.SNI))
	svc := w.service([]byte(h.SNI), k)
	at := nano(h.At.Time)
	w.state.span.Add(at)
	svc.span.Add(at)
	svc.encrypted = true
	if k.at.IsValid() {
		svc.addresses.At(k.at, func() *struct{} { return nil })
	}

	if h.EncryptedHello {
		w.state.counts[helloEncrypted]++
	}
	key := sessionKey{server: k.at, sni: sni, alpn: analyze.Clean([]byte(h.ALPN)), version: h.Version, cipher: h.Cipher}
	ph := posture.Handshake{At: moment(h.At, h.Conn), Time: h.At.Time, Client: h.Conn.Client, Server: h.Conn.Server, ServerName: k.server, SNI: sni, Version: h.Version, Cipher: h.Cipher,
		ClientCertificate: h.ClientCertificate, NoClientCertificate: h.NoClientCertificate, Refused: h.Alerts > 0}
	if l := h.Leaf; l != nil {
		key.certificate = l.SHA256
		ph.Leaf = &posture.Leaf{Names: l.Names, NotBefore: l.NotBefore, NotAfter: l.NotAfter, SelfSigned: l.SelfSigned}
	} else {
		w.state.counts[certificatesHidden]++
	}
	if s, ok := w.state.sessions.At(key, newSession); ok {
		s.connections++
		s.span.Add(at)
		if h.JA3 != "" {
			s.ja3.At(h.JA3, func() *struct{} { return nil })
		}
		if h.JA4 != "" {
			s.ja4.At(h.JA4, func() *struct{} { return nil })
		}
		s.ja3s = least(s.ja3s, h.JA3S)
		if l := h.Leaf; l != nil {
			s.subject, s.issuer = max(s.subject, analyze.Clean([]byte(l.Subject))), max(s.issuer, analyze.Clean([]byte(l.Issuer)))
			s.notAfter = max(s.notAfter, l.NotAfter.Unix())
		}
	}
	w.reader.Handshake(&ph, &svc.state)
	k.tls = w.cell(edgeKey{client: k.end, server: k.at, service: svc.name, wire: analyze.TLS, version: h.Version, cipher: h.Cipher})
	k.tls.connections++
	k.tls.span.Add(at)
	if h.Conn.Parties != [2]*capture.Party{} {
		if len(w.seals) >= w.in.opts.Connections {
			clear(w.seals)
			w.state.counts[connectionsForgotten]++
		}
		k.sealed = seal{h.Version, h.Cipher}
		w.seals[h.Conn.ID] = k.sealed
	}
}

// WebSocket implements capture.Handler.
func (w *worker) WebSocket(s *capture.WebSocket) {
	w.state.counts[webSockets]++
	w.state.counts[webSocketMessages] += s.Messages[0] + s.Messages[1]
}

// Connection implements capture.Handler.
func (w *worker) Connection(s *capture.Summary) {
	_, sealed := w.seals[s.Conn.ID]
	if sealed && s.Conn.Encrypted {
		return // its bytes are those on the wire, which ends, too
	}
	delete(w.seals, s.Conn.ID)
	k := w.conns[s.Conn.ID]
	if k == nil {
		return
	}
	delete(w.conns, s.Conn.ID)
	e := k.tls
	if e == nil && k.n > 0 {
		e = k.edges[0].edge // of several services, the first has it all
	}
	if e != nil {
		e.bytes += s.Bytes[0] + s.Bytes[1]
		e.span.Add(nano(s.End.Time))
	}
	*k = conn{}
	w.spare = append(w.spare, k)
}
