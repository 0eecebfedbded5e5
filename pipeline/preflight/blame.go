package preflight

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas/registry"
)

// The wires, by the key that names their address.
const (
	WireSource   = "source.postgres"
	WireLedger   = "ledger"
	WireKafka    = "kafka.brokers"
	WireRegistry = "kafka.registry"
)

// wireKeys are where a wire's authority, the server's name, its TLS as a whole and
// our credentials are said: for PostgreSQL all in the URL.
type wireKeys struct{ ca, name, tls, credentials string }

var keysOf = map[string]wireKeys{
	WireSource:   {WireSource, WireSource, WireSource, WireSource},
	WireLedger:   {WireLedger, WireLedger, WireLedger, WireLedger},
	WireKafka:    {"kafka.tls.ca", "kafka.tls.server_name", "kafka.tls", "kafka.sasl"},
	WireRegistry: {"kafka.registry_tls.ca", "kafka.registry_tls.server_name", "kafka.registry", "kafka.registry_auth"},
}

// Blame tells which key of the configuration a failed connection is about, and
// what to do. Without an idea both are empty: then it is the address.
func Blame(wire string, err error) (key, fix string) {
	keys := keysOf[wire]
	if key, fix = blameTLS(keys, err); key != "" {
		return key, fix
	}
	switch wire {
	case WireKafka:
		return blameKafka(keys, err)
	case WireRegistry:
		return blameRegistry(keys, err)
	}
	return blamePostgres(wire, err)
}

func blameTLS(keys wireKeys, err error) (key, fix string) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	url := keys.ca == keys.tls // PostgreSQL: everything stands in the URL
	switch {
	case errors.As(err, &authority) && url:
		return keys.ca, "Name the authority that signed the server's certificate: sslrootcert in the URL"
	case errors.As(err, &authority):
		return keys.ca, "Name the authority that signed the server's certificate under " + keys.ca
	case errors.As(err, &host) && url:
		return keys.name, "Dial the server by a name that its certificate carries"
	case errors.As(err, &host):
		return keys.name, "Dial the server by a name that its certificate carries, or say that name under " + keys.name
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return keys.tls, "Renew the server's certificate, or mend this machine's clock"
	case errors.As(err, &noTLS):
		return keys.tls, "The server does not speak TLS at this port: use the one that does"
	case err != nil && strings.Contains(err.Error(), "remote error: tls:") && url:
		return keys.tls, "The server does not take our certificate: name one that it trusts with sslcert and sslkey in the URL"
	case err != nil && strings.Contains(err.Error(), "remote error: tls:"):
		block := strings.TrimSuffix(keys.ca, ".ca")
		return block, "The server does not take our certificate: name one that it trusts under " + block + ".cert and .key"
	}
	return "", ""
}

func blameKafka(keys wireKeys, err error) (key, fix string) {
	var eof *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return keys.credentials, "Check username and password, and that the user exists for this mechanism"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "kafka.sasl.mechanism", "Use a mechanism that the brokers' listener has"
	case errors.As(err, &eof) && strings.Contains(err.Error(), "SASL"):
		return keys.credentials, "The brokers' listener asks for credentials: give them under kafka.sasl"
	case errors.As(err, &eof):
		return keys.tls, "The brokers' listener does not speak TLS, or another thing listens there: use the port that does"
	case err != nil && strings.Contains(err.Error(), "tls endpoint"): // kgo recognises the alert in what came back
		return keys.tls, "The brokers' listener speaks TLS: add kafka.tls"
	}
	return "", ""
}

func blameRegistry(keys wireKeys, err error) (key, fix string) {
	var answer *registry.RefusedError
	switch {
	case !errors.As(err, &answer):
	case answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden:
		return keys.credentials, "Check username and password under kafka.registry_auth, and what that user may do"
	case strings.Contains(err.Error(), "HTTP request to an HTTPS server"): // as Go's and Jetty's servers say
		return keys.tls, "Write kafka.registry with https://"
	}
	return "", ""
}

func blamePostgres(wire string, err error) (key, fix string) {
	switch {
	case redact.SQLState(err) == "28P01": // invalid_password
		return wire, "Check user and password in the URL"
	case redact.SQLState(err) == "28000": // invalid_authorization_specification
		return wire, "Let pg_hba.conf take this user, database and address; where it wants TLS (hostssl), write sslmode=verify-full into the URL"
	case redact.SQLState(err) == "3D000": // invalid_catalog_name
		return wire, "Create the database, or name another"
	case err != nil && strings.Contains(err.Error(), "server refused TLS connection"):
		return wire, "Switch ssl on at the server; only on a network that you trust write sslmode=disable"
	}
	return "", ""
}
