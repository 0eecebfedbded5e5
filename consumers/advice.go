package consumers

// Advice is what to tell a person about an entity that is not current.
type Advice struct {
	// Means says what happened.
	Means string
	// Fix says what a person can do; for what resolves by itself, that it does.
	Fix string
	// ByItself says what ends it without a person: a change, or a cause that goes.
	ByItself string
}

// anyChange ends what a value of the row caused.
const anyChange = "a change of its row"

// advices are the reasons' in the order in which documents list them.
var advices = []struct {
	reason Reason
	advice Advice
}{
	{ReasonEvaluation, Advice{
		"The mapping's SELECT fails for this row; the detail is PostgreSQL's SQLSTATE.",
		"Correct the row in the legacy system, or make the SELECT accept it and start with --accept-mapping.",
		anyChange + ", or another mapping",
	}},
	{ReasonDuplicateKey, Advice{
		"The mapping returns two rows for one key, so that nobody can say which one is meant.",
		"Make the SELECT return one row a key (DISTINCT ON, GROUP BY), or remove the double row in the legacy system.",
		anyChange + ", or another mapping",
	}},
	{ReasonIncomplete, Advice{
		"A large value of the row was never seen: the source sends TOASTed values only when they change.",
		"Read the table again (backstitch backfill --table T); REPLICA IDENTITY FULL on it prevents this.",
		"the table's next backfill, or a change of that value",
	}},
	{ReasonDuplicate, Advice{
		"Another entity holds a value that Stytch keeps unique, and keeps it; the detail is the holder's digest.",
		"Give one of the two another value in the legacy system, or remove one of them.",
		anyChange + ", or the holder gives the value up or is deleted",
	}},
	{ReasonForeignChange, Advice{
		"The e-mail address, phone number or password in Stytch is neither what Backstitch wrote last nor what is desired: somebody else changed it.",
		"Decide which one is right: bring the legacy row and Stytch to the same value, then retry; or drop it, and Stytch's value stays.",
		anyChange,
	}},
	{ReasonForeignObject, Advice{
		"Stytch has an object with this value that others made and that is not proven ours.",
		"Remove it in Stytch, or save its Stytch id in the legacy row (organization_id, member_id) so that it is adopted; then retry.",
		anyChange,
	}},
	{ReasonInvalidEmail, Advice{
		"Stytch does not accept the e-mail address.",
		"Correct the address in the legacy system.",
		anyChange,
	}},
	{ReasonMissingEmail, Advice{
		"The mapping returns no e-mail address, and a member of Stytch needs one.",
		"Add the address in the legacy system, or leave such rows out of the SELECT.",
		anyChange,
	}},
	{ReasonInvalidSlug, Advice{
		"Stytch does not accept the organization's slug.",
		"Correct the slug in the legacy system, or let the SELECT build a valid one.",
		anyChange,
	}},
	{ReasonInvalidName, Advice{
		"Stytch does not accept the name, or an organization has none.",
		"Correct the name in the legacy system.",
		anyChange,
	}},
	{ReasonInvalidPhone, Advice{
		"Stytch does not accept the phone number; it must be in E.164 form.",
		"Correct the number in the legacy system, or let the SELECT write it as +country and digits.",
		anyChange,
	}},
	{ReasonInvalidRole, Advice{
		"A role is not in the RBAC policy of the Stytch project.",
		"Add the role to the project's policy in the Stytch dashboard and retry, or correct the SELECT's roles.",
		anyChange + ", or the role is added to the policy",
	}},
	{ReasonInvalidMetadata, Advice{
		"The metadata is too large for Stytch, or has too many keys.",
		"Let the SELECT return fewer keys or shorter values.",
		anyChange,
	}},
	{ReasonInvalidField, Advice{
		"Stytch does not accept another value; the detail is its error type.",
		"Look the error type up in Stytch's documentation, correct the value in the legacy system or in the SELECT.",
		anyChange,
	}},
	{ReasonDomainClaimed, Advice{
		"Another organization of the Stytch project claims the domain of the e-mail address.",
		"Release the claim in Stytch and retry, or give the member another address.",
		anyChange,
	}},
	{ReasonRetiredEmail, Advice{
		"The e-mail address belonged to another member, and Stytch retired it with that member.",
		"Free the address in Stytch (unlink the retired e-mail) and retry, or give the member another one.",
		anyChange,
	}},
	{ReasonRefused, Advice{
		"Stytch refuses the call for good; the detail is its error type.",
		"Look the error type up in Stytch's documentation, remove the cause, and retry.",
		anyChange,
	}},
	{ReasonMissing, Advice{
		"What Backstitch wrote is gone from Stytch: somebody deleted it there.",
		"Retry to create it again, or drop it to leave it deleted.",
		anyChange,
	}},
	{ReasonOrganization, Advice{
		"The member's organization is not in Stytch yet.",
		"Nothing: it goes on when the organization exists.",
		"the organization is created",
	}},
	{ReasonClaim, Advice{
		"Another entity holds a value that this one wants, and is about to give it up.",
		"Nothing: the holder goes first.",
		"the holder gives the value up",
	}},
	{ReasonBackoff, Advice{
		"Stytch throttled the call or failed for now.",
		"Nothing, unless it lasts: then look at Stytch's status page and at rate_limit.",
		"the next attempt, after a pause that grows to 5 minutes",
	}},
	{ReasonSettling, Advice{
		"A call's outcome is unknown: it may still take effect.",
		"Nothing: after the settle time the object is read back.",
		"the read-back",
	}},
	{ReasonHeld, Advice{
		"The apply connector is held, so nothing is sent.",
		"Follow the fix in the connector's trace (backstitch status).",
		"the connector goes on",
	}},
	{ReasonBlockedByOrganization, Advice{
		"The member's organization is parked or waits for consent.",
		"Resolve the organization: backstitch parked show --organization KEY.",
		"the organization is resolved",
	}},
	{ReasonBlockedByHolder, Advice{
		"The entity that holds a value which this one wants is parked or waits for consent.",
		"Resolve the holder; the detail is its digest.",
		"the holder is resolved",
	}},
	{ReasonDeleteBrake, Advice{
		"More deletes are due within an hour than deletes.max_per_hour allows.",
		"Look at them (backstitch approve list) and approve, or correct the legacy system.",
		"the row comes back",
	}},
	{ReasonDeleteHold, Advice{
		"The policy holds every delete of this kind.",
		"Approve it: backstitch approve list.",
		"the row comes back",
	}},
	{ReasonUnearned, Advice{
		"No row's deletion caused this delete: a TRUNCATE, a rebuild, or another mapping did.",
		"Look at them (backstitch approve list) and approve, or bring the rows back.",
		"the row comes back",
	}},
}

// losses are the named losses in the order in which documents list them.
var losses = []struct {
	loss   Loss
	advice Advice
}{
	{LossHashFormat, Advice{
		"The password hash has a format that Stytch cannot take; the member was created without it.",
		"Let the person reset the password, or rehash at the next sign-in of the legacy system.",
		"a hash of a supported format",
	}},
	{LossEmailUnverified, Advice{
		"The e-mail address is not verified, and taking over the hash would mark it so; the member was created without its password.",
		"Let the person verify the address in the legacy system, or say assume_emails_verified if all are.",
		"the row says that the address is verified",
	}},
	{LossPhone, Advice{
		"The phone number is not verified, and Stytch would take it for a second factor.",
		"Let the person enrol the number in Stytch.",
		anyChange,
	}},
	{LossCrossOrgPassword, Advice{
		"The project shares passwords between organizations, which lets none be deleted: the former password stays.",
		"Let the person reset the password in Stytch.",
		"the person resets it",
	}},
}

// Advise says what a reason means and what to do about it. Every reason has one.
func Advise(r Reason) Advice {
	for _, a := range advices {
		if a.reason == r {
			return a.advice
		}
	}
	return Advice{}
}

// AdviseLoss says what a named loss means and what to do about it.
func AdviseLoss(l Loss) Advice {
	for _, a := range losses {
		if a.loss == l {
			return a.advice
		}
	}
	return Advice{}
}

// Fix is the sentence that says what a person can do about a reason; "" for one
// that is not in the list.
func Fix(r Reason) string { return Advise(r).Fix }

// FixLoss is the sentence that says what a person can do about a named loss.
func FixLoss(l Loss) string { return AdviseLoss(l).Fix }

// Reasons lists every reason.
func Reasons() []Reason {
	list := make([]Reason, len(advices))
	for i, a := range advices {
		list[i] = a.reason
	}
	return list
}

// Losses lists every named loss.
func Losses() []Loss {
	list := make([]Loss, len(losses))
	for i, a := range losses {
		list[i] = a.loss
	}
	return list
}
