package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// TLS is how a server proves itself to us, and we to it. Files are read when the
// configuration is; a certificate that is renewed needs a restart.
type TLS struct {
	CA         string `key:"ca" doc:"PEM file (or, through a reference, its content) of the authorities that may sign the server's certificate. Default: the system's."`
	Cert       string `key:"cert" doc:"PEM file of our own certificate, where the server asks for one."`
	Key        Secret `key:"key" doc:"PEM file of that certificate's private key."`
	ServerName string `key:"server_name" doc:"The name that the server's certificate carries, where it is not the host that we dial."`
}

// KafkaTLS is TLS to the brokers.
type KafkaTLS struct {
	Enabled bool `key:"enabled" doc:"Default: true where the block is there."`
	TLS     `key:",inline"`
}

// The SASL mechanisms that brokers offer and Backstitch speaks.
const (
	SASLPlain       = "PLAIN"
	SASLScramSHA256 = "SCRAM-SHA-256"
	SASLScramSHA512 = "SCRAM-SHA-512"
)

// SASL is who we are to the brokers. Mechanism is empty where the block was left out.
type SASL struct {
	Mechanism string `key:"mechanism" required:"yes" oneof:"PLAIN SCRAM-SHA-256 SCRAM-SHA-512" doc:"PLAIN shows the password to the broker: use it over TLS."`
	Username  string `key:"username" required:"yes" doc:"The user's name."`
	Password  Secret `key:"password" required:"yes" doc:"The user's password."`
}

// RegistryAuth is who we are to the registry. Username is empty where the block was
// left out.
type RegistryAuth struct {
	Username string `key:"username" required:"yes" doc:"The user's name."`
	Password Secret `key:"password" required:"yes" doc:"The user's password."`
}

// Admin is the status page and the admin API.
type Admin struct {
	Listen     string    `key:"listen" default:"127.0.0.1:8710" doc:"Address to listen on, host:port. One that others can reach needs token, and tls or plaintext."`
	Advertised string    `key:"advertised" doc:"Where the other instances and people reach this one, host:port. Default: the host's name and the port of listen."`
	Token      Secret    `key:"token" doc:"What a request must show as Authorization: Bearer TOKEN, at least 16 characters. Left out, nothing is asked, and only this machine may connect."`
	TLS        ServerTLS `key:"tls" doc:"Serve https."`
	Plaintext  bool      `key:"plaintext" default:"false" doc:"Listen beyond this machine without TLS, because something in front of it ends TLS (a proxy, an ingress). The token then crosses the network as it is."`
}

// ServerTLS is the certificate that the admin API shows. Cert is empty where the
// block was left out.
type ServerTLS struct {
	Cert string `key:"cert" required:"yes" doc:"PEM file of the certificate, its chain after it."`
	Key  Secret `key:"key" required:"yes" doc:"PEM file of its private key."`
}

// Loopback tells whether only this machine can connect.
func (a Admin) Loopback() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	return err == nil && isLoopback(host)
}

// Config is the server's side of TLS, nil where the block was left out. Errors name
// files, never what they hold.
func (s ServerTLS) Config() (*tls.Config, error) {
	if s.Cert == "" {
		return nil, nil
	}
	pair, err := keyPair(s.Cert, s.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// Config is the client's side of TLS. Errors name files, never what they hold.
func (t TLS) Config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		b, err := readPEM("ca", t.CA)
		if err != nil {
			return nil, err
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(b) {
			return nil, &pemError{"ca", errors.New("it holds no certificate in PEM form")}
		}
	}
	if t.Cert == "" && t.Key == "" {
		return out, nil
	}
	pair, err := keyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

// pemError is a problem with the file of one key of a TLS block.
type pemError struct {
	key string
	err error
}

func (e *pemError) Error() string { return e.key + ": " + e.err.Error() }

func (e *pemError) Unwrap() error { return e.err }

func keyPair(cert string, key Secret) (tls.Certificate, error) {
	switch {
	case cert == "":
		return tls.Certificate{}, &pemError{"cert", errors.New("a key needs its certificate")}
	case key == "":
		return tls.Certificate{}, &pemError{"key", errors.New("a certificate needs its private key")}
	}
	c, err := readPEM("cert", cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	k, err := readPEM("key", key.Reveal())
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return tls.Certificate{}, &pemError{"key", fmt.Errorf("certificate and private key do not go together: %w", err)}
	}
	return pair, nil
}

// readPEM takes a path, or the text itself where a reference put it there.
func readPEM(key, s string) ([]byte, error) {
	if strings.Contains(s, "-----BEGIN") {
		return []byte(s), nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return nil, &pemError{key, err}
	}
	return b, nil
}

// wrongTLS reports an error of a Config method at the key that it is about.
func wrongTLS(block string, err error, wrong report) {
	var e *pemError
	if !errors.As(err, &e) {
		return
	}
	fix := "Name a PEM file"
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		fix = referenceFix(err)
	}
	wrong(block+"."+e.key, fix, "%s.%s: %v", block, e.key, e.err)
}

// validateWires checks TLS and credentials of Kafka and the registry, and takes
// credentials out of the registry's URL, which is printed (invariant 8).
func (d *decoder) validateWires(wrong report) {
	k := &d.config.Kafka
	if k.TLS.Enabled {
		_, err := k.TLS.Config()
		wrongTLS("kafka.tls", err, wrong)
	}
	if k.SASL.Mechanism != "" && (k.SASL.Username == "" || k.SASL.Password == "") {
		wrong("kafka.sasl", "Set the variables that they refer to", "kafka.sasl has an empty username or password")
	}
	if !isHTTP(k.Registry) {
		wrong("kafka.registry", "Write it as http://registry:8081", "kafka.registry is not an http or https URL")
		return
	}
	u, err := url.Parse(k.Registry)
	if err != nil {
		return // isHTTP has parsed it
	}
	if u.User != nil {
		if k.RegistryAuth.Username != "" {
			wrong("kafka.registry_auth", "Keep those under kafka.registry_auth", "the registry's credentials stand in its URL as well")
		}
		password, _ := u.User.Password()
		k.RegistryAuth = RegistryAuth{u.User.Username(), Secret(password)}
		u.User = nil
		k.Registry = u.String()
	} else if d.config.lines["kafka.registry_auth"] > 0 && k.RegistryAuth.Username == "" {
		wrong("kafka.registry_auth.username", "Set the variable that it refers to", "kafka.registry_auth.username is empty")
	}
	if k.RegistryTLS != (TLS{}) {
		if u.Scheme != "https" {
			wrong("kafka.registry_tls", "Write kafka.registry with https://", "kafka.registry_tls is there, and kafka.registry is an http URL")
		}
		_, err := k.RegistryTLS.Config()
		wrongTLS("kafka.registry_tls", err, wrong)
	}
}

// shortestToken is the least length of the admin API's token: one that nobody guesses.
const shortestToken = 16

func (d *decoder) validateAdmin(wrong report) {
	a := d.config.Admin
	if _, _, err := net.SplitHostPort(a.Listen); err != nil {
		wrong("admin.listen", "Write it as 127.0.0.1:8710", "admin.listen is not host:port")
		return
	}
	if host, port, err := net.SplitHostPort(a.Advertised); a.Advertised != "" && (err != nil || host == "" || port == "" || isAny(host)) {
		wrong("admin.advertised", "Write it as a host:port that the other instances can dial", "admin.advertised is no address to dial")
	}
	if d.config.lines["admin.token"] > 0 && (len(a.Token) < shortestToken || strings.ContainsAny(a.Token.Reveal(), " \t\r\n")) {
		wrong("admin.token", "Make one, for example with openssl rand -hex 32", "admin.token has fewer than %d characters, or white space", shortestToken)
	}
	_, err := a.TLS.Config()
	wrongTLS("admin.tls", err, wrong)
	if a.Loopback() {
		return
	}
	if a.Token == "" {
		wrong("admin.listen", "Set admin.token, or listen on 127.0.0.1", "admin.listen can be reached from other machines, and admin.token is not set: anybody there could stop the pipeline")
	}
	if a.TLS.Cert == "" && !a.Plaintext {
		wrong("admin.listen", "Set admin.tls, or admin.plaintext: true where something in front of it ends TLS",
			"admin.listen can be reached from other machines without TLS: the token could be read on the way")
	}
}

// validatePostgres checks a connection URL. pgconn's own error repeats parts of it.
func validatePostgres(path string, url Secret, wrong report) {
	_, err := pgconn.ParseConfig(url.Reveal())
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		wrong(path, referenceFix(err), "%s: sslrootcert, sslcert or sslkey: %v", path, file)
	case err != nil && strings.Contains(err.Error(), "x509"), err != nil && strings.Contains(err.Error(), "tls:"):
		wrong(path, "Name PEM files", "%s: sslrootcert, sslcert or sslkey holds no usable certificate or key", path)
	case url == "" || err != nil:
		wrong(path, "Write it as postgres://user:password@host:5432/database", "%s is not a connection URL that PostgreSQL clients take", path)
	}
}

// Unverified tells whether a PostgreSQL connection URL (which Load has accepted)
// may end on the network without encryption, or with a server that nobody
// verified. The machine itself is no network.
func Unverified(url Secret) bool {
	c, err := pgconn.ParseConfig(url.Reveal())
	if err != nil {
		return false
	}
	ways := []pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}
	for _, f := range c.Fallbacks {
		ways = append(ways, *f)
	}
	for _, w := range ways {
		if strings.HasPrefix(w.Host, "/") || isLoopback(w.Host) {
			continue
		}
		if w.TLSConfig == nil || w.TLSConfig.InsecureSkipVerify && w.TLSConfig.VerifyPeerCertificate == nil {
			return true
		}
	}
	return false
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func isAny(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsUnspecified()
}
