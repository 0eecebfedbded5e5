package stytch

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// Stytch's two environments; a project id says by its prefix to which it belongs.
const (
	TestURL = "https://test.stytch.com"
	LiveURL = "https://api.stytch.com"
)

// maxResponse bounds a response body (invariant 9): a search page of 1,000
// members with full metadata stays below it.
const maxResponse = 32 << 20

// unsentFor is how long the kernel goes on sending a request that nobody acknowledges:
// well below the settle time, after which a call of unknown outcome counts as over
// (hazard A2; apply's Config.Settle, 30 s).
const unsentFor = 15 * time.Second

// Fields is a request body by Stytch's field names. A name that is absent leaves
// the field alone, nil is sent as null, and a zero value is sent as it is.
type Fields map[string]any

// Options say how to reach a project.
type Options struct {
	// BaseURL is where the API is; "" chooses by the project id's prefix.
	BaseURL string
	// ProjectID and Secret are the credentials of HTTP Basic authentication.
	ProjectID string
	Secret    string
	// Timeout bounds a call from the wait for a connection to the last byte of
	// the answer. 0 means 15 s.
	Timeout time.Duration
	// MaxConns bounds the connections, and so the concurrent calls. 0 means 64.
	MaxConns int
	// UserAgent names the caller. "" means "backstitch".
	UserAgent string
	// Now is the wall clock that write deadlines are compared with. nil means time.Now.
	Now func() time.Time
	// Dial opens a connection. nil means a net.Dialer with a 5 s time-out.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the TLS configuration of https addresses. nil means Go's defaults.
	TLS *tls.Config
	// Observe is told of every finished call, on the caller's goroutine. May be nil.
	Observe func(Call)
}

// Call is what Observe is told: no identifiers, no values.
type Call struct {
	// Name is the operation, such as "create_member".
	Name string
	// Status is the HTTP status, 0 when no answer came.
	Status int
	// Type is Stytch's error type, "" on success or when none was given.
	Type string
	// Elapsed is the whole call's duration.
	Elapsed time.Duration
}

// Client calls the API. It is safe for concurrent use.
type Client struct {
	opts      Options
	base      string
	transport *http.Transport
}

// New makes a client. It makes no network call.
func New(o Options) *Client {
	if o.BaseURL == "" {
		o.BaseURL = BaseURL(o.ProjectID)
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.MaxConns == 0 {
		o.MaxConns = 64
	}
	if o.UserAgent == "" {
		o.UserAgent = "backstitch"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second, Control: boundUnsent}).DialContext
	}
	c := &Client{opts: o, base: strings.TrimRight(o.BaseURL, "/")}
	// One request per connection at a time, so that a connection has one write
	// deadline: HTTP/1.1 only (hazard A2).
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	c.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         c.dial,
		TLSClientConfig:     o.TLS,
		TLSHandshakeTimeout: 5 * time.Second,
		Protocols:           http1,
		MaxConnsPerHost:     o.MaxConns,
		MaxIdleConns:        o.MaxConns,
		MaxIdleConnsPerHost: o.MaxConns,
		// Shorter than what load balancers keep, so that a call seldom meets a
		// connection that the other side has just closed.
		IdleConnTimeout: 30 * time.Second,
	}
	return c
}

// BaseURL is the environment that a project id belongs to.
func BaseURL(projectID string) string {
	if strings.HasPrefix(projectID, "project-live-") {
		return LiveURL
	}
	return TestURL
}

// Close closes idle connections. Calls in flight go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := c.opts.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, now: c.opts.Now}, nil
}

// request is one call of the API.
type request struct {
	name   string
	method string
	path   []string // segments, escaped when the URL is built
	query  url.Values
	body   Fields // nil: none
}

// call makes a request and decodes a successful answer into out. present says
// whether out holds what the call promises: a 200 of something that is not Stytch
// must not pass for an answer.
func (c *Client) call(ctx context.Context, r request, out any, present func() bool) error {
	start := c.opts.Now()
	status, err := c.do(ctx, r, out, present)
	if c.opts.Observe != nil {
		o := Call{Name: r.name, Status: status, Elapsed: c.opts.Now().Sub(start)}
		var e *Error
		if errors.As(err, &e) {
			o.Type = e.Type
		}
		c.opts.Observe(o)
	}
	if err != nil {
		return fmt.Errorf("stytch %s: %w", strings.ReplaceAll(r.name, "_", " "), err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, r request, out any, present func() bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	x := &exchange{deadline: writeDeadline(ctx)}
	req, err := c.build(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: x.gotConn}), r)
	if err != nil {
		return 0, &unsent{err}
	}
	if x.expired(c.opts.Now()) {
		return 0, &unsent{ErrWriteDeadline}
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		if !x.abandon() {
			err = &unsent{err}
		}
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err == nil {
		x.finish()
	}
	return resp.StatusCode, c.decode(resp, body, err, out, present)
}

// build makes the HTTP request. Its body is never nil and cannot be rewound:
// net/http then repeats nothing by itself, not even a GET, on another connection.
func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	address := c.base
	for _, segment := range r.path {
		if segment == "" || segment == "." || segment == ".." {
			return nil, errors.New("an id in the path is empty or made of dots: it would name another resource")
		}
		address += "/" + url.PathEscape(segment)
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body bytes.Buffer
	if r.body != nil {
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.body); err != nil {
			return nil, errors.New("encode the request: a field holds something that JSON cannot") // invariant 8: err may quote the value
		}
	}
	size := body.Len()
	req, err := http.NewRequestWithContext(ctx, r.method, address, struct{ io.Reader }{&body})
	if err != nil {
		return nil, errors.New("build the request: the base URL is not an http or https URL")
	}
	req.ContentLength = int64(size)
	req.SetBasicAuth(c.opts.ProjectID, c.opts.Secret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.opts.UserAgent)
	return req, nil
}

// decode turns an answer into out or a typed error. 200 and 201 are success, as
// in Stytch's own SDKs; any other 2xx is not.
func (c *Client) decode(resp *http.Response, body []byte, readErr error, out any, present func() bool) error {
	if resp.StatusCode >= 400 {
		return newError(resp, body, c.opts.Now())
	}
	bad := func(reason string) error { return &ResponseError{Status: resp.StatusCode, Reason: reason} }
	switch {
	case readErr != nil:
		return &ResponseError{Status: resp.StatusCode, Reason: "the body ended early", err: readErr}
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated:
		return bad("neither 200 nor 201")
	case len(body) > maxResponse:
		return bad("the body is over 32 MB")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(out); err != nil {
		return bad("the body is not the JSON that was expected") // invariant 8: err may quote a value
	}
	if !present() {
		return bad("the body lacks what the call answers")
	}
	return nil
}
