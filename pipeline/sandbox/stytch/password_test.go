package stytch

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

const horse = "correct horse"

func b64(b []byte) string    { return base64.StdEncoding.EncodeToString(b) }
func rawB64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Every hash type of the API: a migrated hash logs its member in, and no other
// password does.
func TestHashesVerify(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	iKey, idKey := argon2.Key([]byte(horse), salt, 1, 64, 1, 32), argon2.IDKey([]byte(horse), salt, 1, 64, 1, 32)
	sKey := must(scrypt.Key([]byte(horse), salt, 16, 8, 1, 64))
	argonConfig := fields{"salt": string(salt), "iteration_amount": 1, "memory": 64, "threads": 1, "key_length": 32}
	scryptConfig := fields{"salt": b64(salt), "n_parameter": 16, "r_parameter": 8, "p_parameter": 1, "key_length": 64}
	pbkdf2Config := func(algorithm string, length int) fields {
		return fields{"salt": b64(salt), "iteration_amount": 10, "key_length": length, "algorithm": algorithm}
	}
	y := "$2y" + string(must(bcrypt.GenerateFromPassword([]byte(horse), bcrypt.MinCost)))[3:]
	salts := fields{"prepend_salt": "be", "append_salt": "fore"}
	tests := []struct{ name, hashType, hash, config string }{
		{"bcrypt", "bcrypt", horseHash, ""},
		{"bcrypt 2y", "bcrypt", y, ""},
		{"argon2i encoded", "argon_2i", "$argon2i$v=19$m=64,t=1,p=1$" + rawB64(salt) + "$" + rawB64(iKey), ""},
		{"argon2id encoded", "argon_2id", "$argon2id$v=19$m=64,t=1,p=1$" + rawB64(salt) + "$" + rawB64(idKey), ""},
		{"argon2i hex", "argon_2i", hex.EncodeToString(iKey), "argon_2_config"},
		{"argon2id hex", "argon_2id", hex.EncodeToString(idKey), "argon_2_config"},
		{"scrypt encoded", "scrypt", "$scrypt$ln=4,r=8,p=1$" + rawB64(salt) + "$" + rawB64(sKey), ""},
		{"scrypt", "scrypt", b64(sKey), "scrypt_config"},
		{"pbkdf2 sha256", "pbkdf_2", b64(must(pbkdf2.Key(sha256.New, horse, salt, 10, 32))), "sha256"},
		{"pbkdf2 default", "pbkdf_2", b64(must(pbkdf2.Key(sha256.New, horse, salt, 10, 32))), "default"},
		{"pbkdf2 sha512", "pbkdf_2", b64(must(pbkdf2.Key(sha512.New, horse, salt, 10, 64))), "sha512"},
		{"md5", "md_5", hex.EncodeToString(md5Digest([]byte(horse))), ""},
		{"md5 salted", "md_5", strings.ToUpper(hex.EncodeToString(md5Digest([]byte("be" + horse + "fore")))), "md_5_config"},
		{"sha1 salted", "sha_1", hex.EncodeToString(sha1Digest([]byte("be" + horse + "fore"))), "sha_1_config"},
		{"sha512 salted", "sha_512", hex.EncodeToString(sha512Digest([]byte("be" + horse + "fore"))), "sha_512_config"},
		{"phpass", "phpass", phpassOf("$P$5saltsalt", horse), ""},
		{"phpass H", "phpass", phpassOf("$H$5saltsalt", horse), ""},
	}
	configs := map[string]fields{
		"argon_2_config": {"argon_2_config": argonConfig}, "scrypt_config": {"scrypt_config": scryptConfig},
		"sha256": {"pbkdf_2_config": pbkdf2Config("sha256", 32)}, "sha512": {"pbkdf_2_config": pbkdf2Config("sha512", 64)},
		"default":      {"pbkdf_2_config": fields{"salt": b64(salt), "iteration_amount": 10, "key_length": 32}},
		"md_5_config":  {"md_5_config": salts},
		"sha_1_config": {"sha_1_config": salts}, "sha_512_config": {"sha_512_config": salts},
	}
	b := newBundle(t, Options{})
	b.organization("acme")
	for i, test := range tests {
		email := fmt.Sprintf("m%d@corp.example", i)
		if a := b.migrate("acme", email, fields{"hash": test.hash, "hash_type": test.hashType}, configs[test.config]); a.status != 200 {
			t.Errorf("%s: migrate: %v", test.name, a.body)
			continue
		}
		if a := b.login("acme", email, horse); a.status != 200 || a.body["member_authenticated"] != true || a.body["session_token"] == "" {
			t.Errorf("%s: the password does not log in: %v", test.name, a.body["error_type"])
		}
		if a := b.login("acme", email, horse+"!"); a.status != 401 || a.body["error_type"] != "unauthorized_credentials" {
			t.Errorf("%s: another password: %d", test.name, a.status)
		}
	}
}

// The published example of phpass, made by its author's own program.
func TestPhpassVector(t *testing.T) {
	t.Parallel()
	p, err := newPassword("phpass", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", hashConfigs{})
	if err != nil || !p.Verify("test12345") || p.Verify("test12346") {
		t.Errorf("the known hash does not verify: %v", err)
	}
}

// phpassOf hashes as phpass does, with the settings given.
func phpassOf(settings, password string) string {
	d := md5Digest([]byte(settings[4:] + password))
	for range 1 << strings.IndexByte(phpassAlphabet, settings[3]) {
		d = md5Digest(append(d, password...))
	}
	return settings + phpassEncode(d)
}

func TestHashRefusals(t *testing.T) {
	t.Parallel()
	changed := func(name string, config fields) func(fields) fields {
		return func(change fields) fields {
			c := maps.Clone(config)
			maps.Copy(c, change)
			return fields{name: c}
		}
	}
	argon := changed("argon_2_config", fields{"salt": "saltsalt", "iteration_amount": 1, "memory": 64, "threads": 1, "key_length": 4})
	scryptConfig := changed("scrypt_config", fields{"salt": "c2FsdA==", "n_parameter": 16, "r_parameter": 8, "p_parameter": 1, "key_length": 4})
	pbkdf := changed("pbkdf_2_config", fields{"salt": "c2FsdA==", "iteration_amount": 1, "key_length": 4, "algorithm": "sha256"})
	tests := []struct {
		hashType, hash string
		config         fields
		kind           string
	}{
		{"bcrypt", "", nil, "invalid_hash"},
		{"rot13", "x", nil, "invalid_hash_type"},
		{"bcrypt", "$2a$10$short", nil, "invalid_bcrypt_hash"},
		{"bcrypt", "$2x$10$" + strings.Repeat("a", 53), nil, "invalid_bcrypt_hash"},
		{"bcrypt", "$2a$03$" + strings.Repeat("a", 53), nil, "invalid_bcrypt_cost"},
		{"bcrypt", "$2a$32$" + strings.Repeat("a", 53), nil, "invalid_bcrypt_cost"},
		{"argon_2id", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA", nil, "invalid_hash"},
		{"argon_2id", "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA", nil, "invalid_hash"},
		{"argon_2id", "$argon2id$garbage", nil, "invalid_hash"},
		{"argon_2id", "no hex", argon(nil), "invalid_hash"},
		{"argon_2id", "00112233", nil, "bad_request"},
		{"argon_2id", "00112233", argon(fields{"salt": ""}), "invalid_argon_2_salt"},
		{"argon_2id", "00112233", argon(fields{"iteration_amount": 0}), "invalid_argon_2_iteration_amount"},
		{"argon_2id", "00112233", argon(fields{"memory": 1}), "invalid_argon_2_memory"},
		{"argon_2id", "00112233", argon(fields{"threads": 0}), "invalid_argon_2_threads"},
		{"argon_2id", "00112233", argon(fields{"key_length": 1}), "invalid_argon_2_key_length"},
		{"argon_2id", "00112233", argon(fields{"key_length": 8}), "argon_2_key_length_mismatch"},
		{"scrypt", "$scrypt$ln=4$x", nil, "invalid_hash"},
		{"scrypt", "AAAAAA==", nil, "bad_request"},
		{"scrypt", "not base64!", scryptConfig(nil), "invalid_base64_scrypt_hash"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"salt": "!"}), "invalid_base64_scrypt_salt"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"salt": ""}), "invalid_scrypt_salt_length"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"n_parameter": 15}), "invalid_scrypt_n_parameter"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"n_parameter": 524288}), "invalid_scrypt_n_parameter"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"p_parameter": 0}), "invalid_scrypt_parameters"},
		{"scrypt", "AAAAAA==", scryptConfig(fields{"key_length": 5}), "scrypt_key_length_mismatch"},
		{"pbkdf_2", "AAAAAA==", nil, "bad_request"},
		{"pbkdf_2", "!", pbkdf(nil), "invalid_pbkdf_2_hash"},
		{"pbkdf_2", "AAAAAA==", pbkdf(fields{"salt": "!"}), "invalid_pbkdf_2_salt"},
		{"pbkdf_2", "AAAAAA==", pbkdf(fields{"iteration_amount": 0}), "invalid_pbkdf_2_iteration_amount"},
		{"pbkdf_2", "AAAAAA==", pbkdf(fields{"algorithm": "sha1"}), "invalid_pbkdf_2_algorithm"},
		{"pbkdf_2", "AAAAAA==", pbkdf(fields{"key_length": 5}), "pbkdf_2_key_length_mismatch"},
		{"md_5", "00", nil, "invalid_md_5_hash"},
		{"md_5", strings.Repeat("0", 32), fields{"md_5_config": fields{"append_salt": ""}}, "invalid_prepend_salt"},
		{"md_5", strings.Repeat("0", 32), fields{"md_5_config": fields{"prepend_salt": ""}}, "invalid_append_salt"},
		{"sha_1", strings.Repeat("g", 40), nil, "invalid_sha_1_hash"},
		{"sha_512", strings.Repeat("0", 40), nil, "invalid_sha_512_hash"},
		{"phpass", "$X$5saltsalt0000000000000000000000", nil, "invalid_phpass_hash_prefix"},
		{"phpass", "$P$5salt", nil, "invalid_phpass_hash_format"},
		{"phpass", "$P$.saltsalt0000000000000000000000", nil, "invalid_phpass_hash_format"},
	}
	b := newBundle(t, Options{})
	b.organization("acme")
	for _, test := range tests {
		a := b.migrate("acme", "a@corp.example", fields{"hash": test.hash, "hash_type": test.hashType}, test.config)
		if a.status != 400 || a.body["error_type"] != test.kind {
			t.Errorf("%s %q: %d %v, want %s", test.hashType, test.hash, a.status, a.body["error_type"], test.kind)
		}
		if a.status == 400 && test.hash != "" && len(test.hash) > 3 && strings.Contains(fmt.Sprint(a.body), test.hash) {
			t.Errorf("%s: the error names the hash", test.hashType) // invariant 8
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	org := b.organization("acme")
	id := b.member(org, "jane@corp.example", fields{"name": "Jane", "external_id": "usr_1", "roles": []string{"viewer"}})
	a := b.migrate("acme", "Jane@corp.example", fields{
		"name": "Other", "external_id": "usr_2", "roles": []string{"editor"}, "trusted_metadata": fields{"a": 1}, "is_breakglass": true,
		"mfa_phone_number": "+15005550006", "set_phone_number_verified": true,
	})
	m := a.object("member")
	if a.body["member_created"] != false || a.body["member_id"] != id {
		t.Errorf("member_created %v", a.body["member_created"])
	}
	for field, want := range map[string]any{
		"name": "Jane", "external_id": "usr_1", "email_address_verified": true, "is_breakglass": false,
		"mfa_phone_number": "+15005550006", "mfa_phone_number_verified": true,
	} {
		if m[field] != want {
			t.Errorf("%s = %v, want %v", field, m[field], want)
		}
	}
	if roles, metadata := fmt.Sprint(roleIDs(m)), fmt.Sprint(m["trusted_metadata"]); roles != "[stytch_member editor]" || metadata != "map[]" {
		t.Errorf("roles %s, metadata %s", roles, metadata)
	}
	if a := b.migrate("acme", "jane@corp.example"); a.status != 400 || a.body["error_type"] != "password_already_exists" {
		t.Errorf("second migrate: %v", a.body["error_type"])
	}
	// The password's deletion and another migrate: a new id.
	passwordID := m["member_password_id"].(string)
	if !strings.HasPrefix(passwordID, "member-password-test-") {
		t.Errorf("member_password_id %q", passwordID)
	}
	path := "organizations/acme/members/passwords/"
	gone := b.ok("DELETE", path+passwordID, fields{})
	if gone.text("member", "member_password_id") != "" || gone.object("member")["email_address_verified"] != true {
		t.Error("after the password's deletion: it is there, or the address lost its verification")
	}
	b.refused(404, "member_password_not_found", "DELETE", path+passwordID, fields{})
	if again := b.migrate("acme", "jane@corp.example"); again.text("member", "member_password_id") == passwordID {
		t.Error("a new password has the old one's id")
	}
	created := b.migrate("acme", "new@corp.example", fields{"external_id": "usr_9", "name": "New", "trusted_metadata": fields{"a": 1}})
	if created.body["member_created"] != true || created.text("member", "external_id") != "usr_9" || created.text("member", "status") != "active" {
		t.Errorf("created: %v", created.body["member_created"])
	}
	for _, missing := range []string{"organization_id", "email_address", "hash", "hash_type"} {
		if a := b.migrate("acme", "x@corp.example", fields{missing: nil}); a.status != 400 || a.body["error_type"] != "bad_request" {
			t.Errorf("without %s: %v", missing, a.body["error_type"])
		}
	}
	if a := b.migrate("none", "x@corp.example"); a.status != 404 {
		t.Errorf("no organization: %v", a.body["error_type"])
	}
}

func TestPasswordOptions(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{CrossOrgPasswords: true, MigrateUpdatesFields: true, PasswordNeedsAuthMethod: true})
	b.organization("acme")
	b.member("acme", "jane@corp.example", fields{"name": "Jane"})
	a := b.migrate("acme", "jane@corp.example", fields{"name": "Other"})
	if a.text("member", "name") != "Other" {
		t.Error("MigrateUpdatesFields: the name stayed")
	}
	b.refused(400, "cross_org_passwords_enabled", "DELETE", "organizations/acme/members/passwords/"+a.text("member", "member_password_id"), nil)
	b.organization("sso-only", fields{"auth_methods": "RESTRICTED", "allowed_auth_methods": []string{"sso"}, "email_invites": "ALL_ALLOWED"})
	if a := b.migrate("sso-only", "jane@corp.example"); a.body["error_type"] != "operation_restricted_by_organization_auth_methods" {
		t.Errorf("PasswordNeedsAuthMethod: %v", a.body["error_type"])
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.member("acme", "p@corp.example", fields{"create_member_as_pending": true, "mfa_phone_number": "+15005550006"})
	for kind, email := range map[string]string{"email_not_found": "none@corp.example", "member_password_not_found": "p@corp.example"} {
		if a := b.login("acme", email, horse); a.status != 404 || a.body["error_type"] != kind {
			t.Errorf("%s: %v", kind, a.body["error_type"])
		}
	}
	b.migrate("acme", "p@corp.example")
	a := b.login("acme", "P@corp.example", horse)
	if a.text("member", "status") != "active" || a.text("member_session", "member_id") != id || fmt.Sprint(a.object("member_session")["roles"]) != "[stytch_member]" {
		t.Errorf("login: status %v", a.text("member", "status"))
	}
	b.ok("PUT", "organizations/acme/members/"+id, fields{"mfa_enrolled": true})
	a = b.login("acme", "p@corp.example", horse)
	options, _ := a.object("mfa_required")["member_options"].(map[string]any)
	if a.body["member_authenticated"] != false || a.body["intermediate_session_token"] == "" || a.body["session_token"] != "" || options["mfa_phone_number"] != "+15005550006" {
		t.Error("a member enrolled in MFA was let in after its password")
	}
	if a := b.do("POST", "passwords/authenticate", fields{"organization_id": "acme", "email_address": "p@corp.example", "password": horse, "session_duration_minutes": 1}); a.body["error_type"] != "invalid_session_duration_minutes" {
		t.Errorf("one minute: %v", a.body["error_type"])
	}
	b.ok("PUT", "organizations/acme", fields{"auth_methods": "RESTRICTED", "allowed_auth_methods": []string{"sso"}})
	if a := b.login("acme", "p@corp.example", horse); a.body["error_type"] != "operation_restricted_by_organization_auth_methods" {
		t.Errorf("an organization of SSO only: %v", a.body["error_type"])
	}
}
