// Drives the simulator at STYTCH_URL through Stytch's official Node client: every
// endpoint that the simulator has, its answers, and the errors that the client makes
// of its refusals. Exits non-zero at the first difference, naming it.
import assert from "node:assert/strict";
import stytch from "stytch";

const { STYTCH_URL, STYTCH_PROJECT_ID, STYTCH_SECRET } = process.env;
console.warn = () => {}; // the client warns about an address that is not Stytch's

const connect = (secret, timeout) =>
  new stytch.B2BClient({ project_id: STYTCH_PROJECT_ID, secret, env: STYTCH_URL, timeout });
const client = connect(STYTCH_SECRET);
const { organizations, passwords, rbac, sessions } = client;
const { members } = organizations;

// The password and its bcrypt hash come from the test that runs this.
const PASSWORD = process.env.PASSWORD;
const HASH = process.env.HASH;

const refused = (status, type, call) =>
  assert.rejects(call, (e) => {
    assert.ok(e instanceof stytch.StytchError, `${type}: not a StytchError but ${e}`);
    assert.equal(e.error_type, type);
    assert.equal(e.status_code, status);
    assert.match(e.request_id, /^request-id-test-[0-9a-f-]{36}$/);
    assert.ok(e.error_message, `${type}: no message`);
    assert.match(e.error_url, new RegExp(`/errors/${status}`));
    return true;
  });

const ok = async (call) => {
  const answer = await call;
  assert.equal(answer.status_code, 200);
  assert.match(answer.request_id, /^request-id-test-/);
  return answer;
};

const parts = {
  async credentials() {
    await refused(401, "unauthorized_credentials", connect("wrong").organizations.get({ organization_id: "x" }));
    const dead = new stytch.B2BClient({ project_id: STYTCH_PROJECT_ID, secret: "x", env: "http://127.0.0.1:1" });
    await assert.rejects(dead.organizations.get({ organization_id: "x" }), stytch.RequestError);
    const { keys } = await ok(sessions.getJWKS({ project_id: STYTCH_PROJECT_ID }));
    assert.deepEqual(keys, []);
    await refused(404, "route_not_found", passwords.strengthCheck({ password: "x" }));
  },

  async organizations() {
    const { organization } = await ok(
      organizations.create({
        organization_name: "Acme",
        organization_slug: "acme",
        organization_external_id: "ten|1",
        trusted_metadata: { plan: "free", seats: { max: 5 } },
      }),
    );
    assert.match(organization.organization_id, /^organization-test-[0-9a-f-]{36}$/);
    assert.equal(organization.email_invites, "ALL_ALLOWED");
    for (const id of [organization.organization_id, "acme", "ten|1"]) {
      const got = await ok(organizations.get({ organization_id: id }));
      assert.deepEqual(got.organization, organization);
    }
    const updated = await ok(
      organizations.update({
        organization_id: "ten|1",
        organization_name: "Acme Two",
        trusted_metadata: { plan: null, seats: { min: 1 } },
        email_allowed_domains: ["corp.example"],
        email_jit_provisioning: "RESTRICTED",
      }),
    );
    assert.deepEqual(updated.organization.trusted_metadata, { seats: { min: 1 } });
    assert.deepEqual(updated.organization.email_allowed_domains, ["corp.example"]);
    assert.equal(updated.organization.organization_slug, "acme");
    const create = (fields) => organizations.create({ organization_name: "B", organization_slug: "bb", ...fields });
    await refused(400, "organization_slug_already_used", create({ organization_slug: "ACME" }));
    await refused(400, "organization_external_id_already_used", create({ organization_external_id: "ten|1" }));
    await refused(400, "organization_settings_domain_too_common", create({ email_allowed_domains: ["gmail.com"] }));
    await refused(400, "organization_name_missing", create({ organization_name: undefined }));
    await refused(400, "invalid_organization_name", create({ organization_name: "" }));
    await refused(404, "organization_not_found", organizations.get({ organization_id: "none" }));
    await refused(400, "invalid_organization_id", organizations.get({ organization_id: "a/b" }));
  },

  async members() {
    const created = await ok(
      members.create({
        organization_id: "ten|1",
        email_address: "Jane@Corp.example",
        name: "Jäne 😀",
        external_id: "usr|1",
        roles: ["editor"],
        mfa_phone_number: "+15005550006",
        untrusted_metadata: { theme: "dark" },
      }),
    );
    const id = created.member_id;
    assert.match(id, /^member-test-[0-9a-f-]{36}$/);
    assert.equal(created.member.email_address, "jane@corp.example");
    assert.equal(created.member.name, "Jäne 😀");
    assert.equal(created.organization.organization_slug, "acme");
    assert.deepEqual(created.member.roles.map((r) => r.role_id), ["stytch_member", "editor"]);
    const at = { organization_id: "ten|1", member_id: "usr|1" };
    for (const by of [{ member_id: id }, { member_id: "usr|1" }, { email_address: "JANE@corp.example" }]) {
      const got = await ok(members.get({ organization_id: "acme", ...by }));
      assert.deepEqual(got.member, created.member);
    }
    const updated = await ok(members.update({ ...at, name: "", roles: [], is_breakglass: true, untrusted_metadata: { theme: null } }));
    assert.equal(updated.member.name, "");
    assert.equal(updated.member.is_breakglass, true);
    assert.deepEqual(updated.member.untrusted_metadata, {});
    assert.equal((await ok(members.deleteMFAPhoneNumber(at))).member.mfa_phone_number, "");
    await refused(404, "member_phone_number_not_found", members.deleteMFAPhoneNumber(at));
    const moved = await ok(members.update({ ...at, email_address: "jane2@corp.example" }));
    const [retired] = moved.member.retired_email_addresses;
    assert.equal(retired.email_address, "jane@corp.example");
    const create = (fields) => members.create({ organization_id: "acme", email_address: "new@corp.example", ...fields });
    await refused(400, "retired_member_email", create({ email_address: "jane@corp.example" }));
    await refused(400, "duplicate_member_email", create({ email_address: "jane2@corp.example" }));
    await refused(400, "duplicate_member_external_id", create({ external_id: "usr|1" }));
    await refused(400, "invalid_email", create({ email_address: "nobody" }));
    await refused(400, "invalid_role", create({ roles: ["nobody"] }));
    const unlinked = await ok(members.unlinkRetiredEmail({ ...at, email_id: retired.email_id }));
    assert.deepEqual(unlinked.member.retired_email_addresses, []);
    assert.equal(unlinked.organization_id, unlinked.organization.organization_id);
    await ok(members.deleteExternalId(at));
    await refused(404, "member_not_found", members.get(at));
    await refused(400, "live_id_used_in_test_environment", members.get({ organization_id: "acme", member_id: "member-live-1" }));
    const session = { authorization: { session_token: "token" } };
    await refused(403, "session_authorization_error", members.update({ ...at, name: "x" }, session));
  },

  async passwords() {
    const migrate = (fields) =>
      passwords.migrate({ organization_id: "acme", email_address: "pat@corp.example", hash: HASH, hash_type: "bcrypt", ...fields });
    const first = await ok(migrate({ external_id: "usr|2", name: "Pat", roles: ["viewer"] }));
    assert.equal(first.member_created, true);
    assert.equal(first.member.email_address_verified, true);
    assert.match(first.member.member_password_id, /^member-password-test-/);
    await refused(400, "password_already_exists", migrate({}));
    await refused(400, "invalid_bcrypt_hash", migrate({ hash: "x" }));
    await refused(400, "invalid_hash_type", migrate({ hash_type: "rot13" }));
    const login = (password) => passwords.authenticate({ organization_id: "acme", email_address: "pat@corp.example", password });
    const session = await ok(login(PASSWORD));
    assert.equal(session.member_authenticated, true);
    assert.equal(session.member_session.member_id, first.member_id);
    assert.ok(session.session_token);
    await refused(401, "unauthorized_credentials", login("wrong"));
    const path = { organization_id: "acme", member_password_id: first.member.member_password_id };
    assert.equal((await ok(members.deletePassword(path))).member.member_password_id, "");
    await refused(404, "member_password_not_found", members.deletePassword(path));
    await refused(404, "member_password_not_found", login(PASSWORD));
    const second = await ok(migrate({}));
    assert.equal(second.member_created, false);
    assert.equal(second.member.name, "Pat");
  },

  async search() {
    const { organization } = await organizations.get({ organization_id: "acme" });
    const all = await ok(members.search({ organization_ids: [organization.organization_id] }));
    assert.equal(all.results_metadata.total, 2);
    assert.equal(all.results_metadata.next_cursor, null);
    assert.deepEqual(Object.keys(all.organizations), [organization.organization_id]);
    const page = await ok(members.search({ organization_ids: [organization.organization_id], limit: 1 }));
    const next = await ok(
      members.search({ organization_ids: [organization.organization_id], limit: 1, cursor: page.results_metadata.next_cursor }),
    );
    assert.deepEqual([...page.members, ...next.members], all.members);
    const operands = [{ filter_name: "member_password_exists", filter_value: true }];
    const some = await ok(
      members.search({ organization_ids: [organization.organization_id], query: { operator: "AND", operands } }),
    );
    assert.deepEqual(some.members.map((m) => m.external_id), ["usr|2"]);
    await refused(400, "member_search_organization_ids_empty", members.search({ organization_ids: [] }));
    const found = await ok(
      organizations.search({ query: { operator: "AND", operands: [{ filter_name: "organization_slugs", filter_value: ["acme"] }] } }),
    );
    assert.deepEqual(found.organizations, [organization]);
    const odd = { operator: "AND", operands: [{ filter_name: "shoe_size", filter_value: 44 }] };
    await refused(400, "organization_search_filter_name_not_recognized", organizations.search({ query: odd }));
  },

  async policy() {
    const { policy } = await ok(rbac.policy());
    assert.deepEqual(policy.roles.map((r) => r.role_id), ["stytch_member", "stytch_admin", "editor", "viewer"]);
    const { org_policy } = await ok(rbac.organizations.getOrgPolicy({ organization_id: "ten|1" }));
    assert.deepEqual(org_policy.roles, []);
  },

  async deletions() {
    const at = { organization_id: "acme", member_id: "usr|2" };
    const { member_id } = await ok(members.delete(at));
    await refused(404, "member_not_found", members.delete(at));
    await refused(404, "member_not_found", members.dangerouslyGet({ member_id }));
    const gone = await ok(members.dangerouslyGet({ member_id, include_deleted: true }));
    assert.equal(gone.member.status, "deleted");
    await refused(404, "member_not_found", members.reactivate(at));
    const back = await ok(members.reactivate({ organization_id: "acme", member_id }));
    assert.equal(back.member.status, "active");
    await refused(404, "no_deleted_member_found_for_reactivation", members.reactivate({ organization_id: "acme", member_id }));
    assert.equal((await ok(organizations.metrics({ organization_id: "acme" }))).member_count, 2);
    const bare = await ok(organizations.deleteExternalId({ organization_id: "ten|1" }));
    assert.equal(bare.organization.organization_external_id, undefined);
    const { organization_id } = await ok(organizations.delete({ organization_id: "acme" }));
    assert.equal(organization_id, bare.organization.organization_id);
    await refused(404, "organization_not_found", organizations.get({ organization_id }));
  },
};

for (const [name, part] of Object.entries(parts)) {
  try {
    await part();
    console.log(`ok ${name}`);
  } catch (e) {
    console.log(`not ok ${name}\n${e.stack}`);
    process.exit(1);
  }
}
