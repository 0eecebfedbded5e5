package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Signed is a report with the signature of who answers for it.
type Signed struct {
	Report    json.RawMessage `json:"report"`
	Signature *Signature      `json:"signature"` // null: nobody signed it
}

// Signature is of the report without the white space between its tokens, with no
// character escaped that need not be: as `jq -cj .report` prints it.
type Signature struct {
	Algorithm string `json:"algorithm"` // ed25519
	// Key is the first 16 hexadecimal digits of the SHA-256 of the public key (PKIX).
	Key   string `json:"key"`
	Value string `json:"value"` // base64
}

// Sign writes a report as JSON, signed where key is not nil.
func Sign(r *Report, key ed25519.PrivateKey) (*Signed, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	if raw, err = canonical(raw); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	s := &Signed{Report: raw}
	if key == nil {
		return s, nil
	}
	public, _ := key.Public().(ed25519.PublicKey)
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	s.Signature = &Signature{Algorithm: "ed25519", Key: id, Value: base64.StdEncoding.EncodeToString(ed25519.Sign(key, raw))}
	return s, nil
}

// Check says whether a signed report, as it stands in a file, is the one that the
// holder of a public key signed, and returns it.
func Check(file []byte, key ed25519.PublicKey) (*Report, error) {
	var s Signed
	if err := json.Unmarshal(file, &s); err != nil || s.Report == nil {
		return nil, errors.New("the file is no report of backstitch verify")
	}
	raw, err := canonical(s.Report)
	if err != nil {
		return nil, errors.New("the file is no report of backstitch verify")
	}
	if s.Signature == nil {
		return nil, errors.New("the report is not signed")
	}
	value, err := base64.StdEncoding.DecodeString(s.Signature.Value)
	if err != nil || s.Signature.Algorithm != "ed25519" || !ed25519.Verify(key, raw, value) {
		return nil, errors.New("the signature does not fit: the report was changed, or another key signed it")
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, errors.New("the signed report has another format than this version reads")
	}
	return &r, nil
}

// texts are the strings of a compact JSON document.
var texts = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// canonical is the one way to write a document that is signed: whoever formats a report
// anew, and escapes other characters, has the same one.
func canonical(document []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, document); err != nil {
		return nil, err
	}
	return texts.ReplaceAllFunc(b.Bytes(), func(literal []byte) []byte {
		var text string
		if json.Unmarshal(literal, &text) != nil { // Compact has found it sound
			return literal
		}
		return quote(text)
	}), nil
}

// quote writes a string as JSON, with as few escapes as may be.
func quote(text string) []byte {
	b := []byte{'"'}
	for _, c := range text {
		if short := strings.IndexRune("\"\\\b\f\n\r\t", c); short >= 0 {
			b = append(b, '\\', `"\bfnrt`[short])
		} else if c < ' ' || c == 0x7f {
			b = fmt.Appendf(b, `\u%04x`, c)
		} else {
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

func keyID(public ed25519.PublicKey) (string, error) {
	raw, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("name the signing key: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

// PrivateKey reads an Ed25519 private key in PEM, as openssl genpkey -algorithm
// ed25519 writes it. Errors never show it.
func PrivateKey(text []byte) (ed25519.PrivateKey, error) {
	key, err := parse(text, x509.ParsePKCS8PrivateKey)
	if k, ok := key.(ed25519.PrivateKey); ok && err == nil {
		return k, nil
	}
	return nil, errors.New("it is no Ed25519 private key in PEM: make one with `openssl genpkey -algorithm ed25519 -out verify.key`")
}

// PublicKey reads an Ed25519 public key in PEM.
func PublicKey(text []byte) (ed25519.PublicKey, error) {
	key, err := parse(text, x509.ParsePKIXPublicKey)
	if k, ok := key.(ed25519.PublicKey); ok && err == nil {
		return k, nil
	}
	return nil, errors.New("it is no Ed25519 public key in PEM: write it with `openssl pkey -in verify.key -pubout -out verify.pub`")
}

func parse(text []byte, read func([]byte) (any, error)) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return read(block.Bytes)
}
