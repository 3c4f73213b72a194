package sensitive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

const goodJWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2lkLnNob3AuZGV2Iiwic3ViIjoiNzIiLCJhdWQiOlsiYXBpIl0sImV4cCI6MTc2NzIyNTYwMCwiaWF0IjoxNzY3MjIyMDAwLCJjdHgiOnsiZXhwIjo1fX0.ItQd5AQZoy6IgvQ8xHzklOxDtsgyzgi8uli38uGwX-0"

// found lists what a message gave, as "where name id".
func foundIn(s *Scanner) string {
	var b []string
	for _, h := range s.Hits() {
		b = append(b, string(h.Place.Where)+" "+h.Place.Name+" "+h.Detector.ID)
	}
	return strings.Join(b, "; ")
}

func TestHeaders(t *testing.T) {
	s := NewScanner(Options{})
	for _, x := range []struct{ name, value, want string }{
		{"Authorization", "Bearer mF9B5f41JqM8kQw1nLr5vTb7", "header authorization bearer_token"},
		{"Authorization", "Bearer " + goodJWT, "header authorization jwt"},
		{"authorization", "Basic YW5uOmh1bnRlcjI=", "header authorization basic_auth"},
		{"authorization", "basic  YW5uOmh1bnRlcjI", "header authorization basic_auth"},
		{"Authorization", "token gh" + "p_0iP91rok0kTCzzTf2Bujoq1Ljsxzbf2eCJxA", "header authorization github_token"},
		{"Authorization", "Bearer null", ""},
		{"Authorization", "Digest username=\"ann\", realm=\"shop\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"", ""},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAQZ7XW2MNKLP5TRVE/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=b6b3e51a6d4bcdf0029b72081a8629ff", "header authorization aws_access_key_id"},
		{"Proxy-Authorization", "Basic YW5uOmh1bnRlcjI=", "header proxy-authorization basic_auth"},
		{"X-Api-Key", "9AQShURNs9SrlIALVQMcsrBbNGlbJ", "header x-api-key api_key"},
		{"X-Forwarded-For", "198.141.242.107, 45.254.85.64", "header x-forwarded-for ip_address; header x-forwarded-for ip_address"},
		{"Cookie", "theme=dark; sid=Gq9kLw3ZpX7vRt2nYb6c; _ga=GA1.2.739074997.1610024268", "cookie sid session_cookie"},
		{"Cookie", "__Host-session=\"8f14e45fceea167a5a36dedd4bea2543\"", "cookie __Host-session session_cookie"},
		{"Cookie", "csrftoken=8f14e45fceea167a5a36dedd4bea2543; aside=8f14e45fceea167a5a36dedd4bea2543", ""},
		{"Set-Cookie", "JSESSIONID=8F14E45FCEEA167A5A36DEDD4BEA2543; Path=/; HttpOnly", "set-cookie JSESSIONID session_cookie"},
		{"Set-Cookie", "sid=deleted; Max-Age=0", ""},
		{"User-Agent", "MyApp/5.14.2.1 CFNetwork/1490.0.4", ""},
		{"ETag", `W/"83c4c3fe8ae998f99ae40b7805ddf168"`, ""},
		{"X-Request-Id", "cb266e6f-d2b6-449d-ace0-4c500cd74164", ""},
		{"Referer", "https://shop.dev/reset?email=ann.lee@shop.dev", "header referer email"},
	} {
		s.Reset(Message{Time: traffic})
		s.Header([]byte(x.name), []byte(x.value))
		if got := foundIn(s); got != x.want {
			t.Errorf("%s: %s\n got %q\nwant %q", x.name, x.value, got, x.want)
		}
	}
}

func TestTargets(t *testing.T) {
	s := NewScanner(Options{})
	for _, x := range []struct{ target, want string }{
		{"/users/ann.lee%40shop.dev/orders", "path 1 email"},
		{"/cards/4757632618400128", "path 1 credit_card"},
		{"/orders/4757632618400128", ""},
		{"/v1/x/4757632618400128", ""},
		{"/login?password=hunter2%21&page=4", "query password password"},
		{"/a?token=162f03780ffbd510f20cdab1a5f681cf#frag", "query token access_token"},
		{"/a?next_page_token=162f03780ffbd510f20cdab1a5f681cf", ""},
		{"http://shop.dev/hook/AKIAQZ7XW2MNKLP5TRVE?x=1", "path 1 aws_access_key_id"},
		{"*", ""},
		{"", ""},
		{"/", ""},
		{"/%", ""},
	} {
		s.Reset(Message{Time: traffic})
		s.Target([]byte(x.target))
		if got := foundIn(s); got != x.want {
			t.Errorf("%s\n got %q\nwant %q", x.target, got, x.want)
		}
	}
}

func TestBodies(t *testing.T) {
	s := NewScanner(Options{Pointers: true})
	var w body.Walker
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"card":{"number":"4757632618400128"}}`))
	for _, x := range []struct{ text, want string }{
		{`{"items":[{"email":"ann.lee@shop.dev"}]}`, "/items/0/email $.items[].email email"},
		{`{"card":{"number":"4757632618400128","exp":"09/29","cvc":"123","brand":"visa"}}`, "/card/number $.card.number credit_card; /card/exp $.card.exp card_expiry; /card/cvc $.card.cvc card_cvv"},
		{`{"order":{"number":"4757632618400128"}}`, ""},
		{`{"card":{"number":4757632618400128}}`, "/card/number $.card.number credit_card"},
		{`{"total":4757632618400128,"score":0.4757632618400128}`, ""},
		{`{"customer":{"name":"Ann Lee"},"product":{"name":"Blue Chair"},"driver":{"name":"Ext Four"}}`, "/customer/name $.customer.name person_name"},
		{`{"payload":"{\"ssn\":\"335-86-6810\",\"n\":1}"}`, "/payload $.payload us_ssn"},
		{`{"event":"` + encoded + `"}`, "/event $.event credit_card"},
		{`{"emails":["ann@shop.dev","bob@shop.dev"]}`, "/emails/0 $.emails[] email; /emails/1 $.emails[] email"},
		{`{"phones":[{"value":"(713) 485-1274"}]}`, "/phones/0/value $.phones[].value phone"},
		{`{"note":"Call +1-713-485-1274 or write to ann@shop.dev, SSN 570-12-7998."}`, "/note $.note email; /note $.note phone; /note $.note us_ssn"},
		{`{"note":"card 4757 6326 1840 0128, IBAN CH69 4649 3246 9465 4299 3 and key AKIAQZ7XW2MNKLP5TRVE"}`, "/note $.note credit_card; /note $.note iban; /note $.note aws_access_key_id"},
		{`{"4757632618400128":"x","ann@shop.dev":{"dob":"1984-04-03"}}`, "/ann@shop.dev/dob ${*}.dob date_of_birth"},
		{`"ann@shop.dev"`, " $ email"},
		{`{"errors":{"password":["is too short"],"first_name":["can't be blank"]},"translations":{"first_name":"Vorname"}}`, ""},
	} {
		s.Reset(Message{Side: analyze.Response, Time: traffic})
		w.Walk([]byte("application/json"), []byte(x.text), s)
		var b []string
		for _, h := range s.Hits() {
			b = append(b, h.Pointer+" "+h.Place.Name+" "+h.Detector.ID)
		}
		if got := strings.Join(b, "; "); got != x.want {
			t.Errorf("%s\n got %q\nwant %q", x.text, got, x.want)
		}
	}
}

// The language of names: case styles, abbreviations, languages; and what a word
// beside them changes.
func TestNames(t *testing.T) {
	for _, x := range []struct{ id, names, none string }{
		{"credit_card", "cardNumber CARD_NO card-nbr CardNum creditcardnumber numeroTarjeta kartennummer numero_carte userCardNumber billing_card_number", "cardType card_last4 giftCardNumber maskedCardNumber card_number_length hasCardNumber idCardNumber"},
		{"password", "parolaChiave clave_de_acceso mat_khau lozinka kata_sandi", "clave_producto"},
		{"phone", "telefonoFisso PhNb MobNb telefonnr nomor_telepon αριθμός_τηλεφώνου gsmNummer", "phoneType telemetry"},
		{"person_name", "VORNA NACHN nama_lengkap titulaireCompte apellido_paterno geburtsname 名前", "brandName pluginName"},
		{"date_of_birth", "GBDAT tanggal_lahir ngaySinh fec_nac dtNascimento syntymapaiva", "date_created"},
		{"password", "password userPassword new_password passwordConfirmation pwd motDePasse contraseña senha Passwort db_password PASSWD", "passwordResetUrl password_min_length has_password passwordPolicy compass bypass passenger"},
		{"person_name", "firstName last_name FULLNAME vorname nachname prénom apellido sobrenome 姓名 имя card_holder_name", "filename product_name hostName userName company_legal_name application_preferred_name"},
		{"email", "email e_mail EMailAddress user.email contactEmail correoElectronico user[email] emails", "email_domain emailVerified"},
		{"date_of_birth", "dob birthDate geburtsdatum fecha_nacimiento data_nascimento born_on", "birth_rate createdOn birthPlace"},
		{"api_key", "apiKey X-API-Key app_secret signingSecret", "publicApiKey cacheKey api_key_id keyName primary_key"},
		{"access_token", "accessToken refresh_token x-auth-token IDToken figmaToken", "nextPageToken csrf_token max_tokens token_type tokenExpiresIn tokens_used_count"},
		{"card_cvv", "cvv cvc2 securityCode card_security_code CVV_code", "cvvStatus statusCode"},
		{"us_ssn", "ssn socialSecurityNumber social_security_no SSN", "ssnVerified ssn_last_4"},
	} {
		i := index(x.id)
		for name := range strings.FieldsSeq(x.names) {
			if c := classify(nil, []byte(name)); !c.hints.has(i) {
				t.Errorf("%s does not call a value %s", name, x.id)
			}
		}
		for name := range strings.FieldsSeq(x.none) {
			if c := classify(nil, []byte(name)); c.hints.has(i) {
				t.Errorf("%s calls a value %s", name, x.id)
			}
		}
	}
}

// What people write: the words before a value are its name.
func TestTexts(t *testing.T) {
	s := NewScanner(Options{})
	for _, x := range [][2]string{
		{"credit_card", "my card is 4757632618400128 thanks"},
		{"credit_card", "Please refund Visa 4757-6326-1840-0128."},
		{"credit_card", "cc: 345306175872980"},
		{"credit_card", "use 4757 6326 1840 0128 exp 09/29 cvv 123"},
		{"card_cvv", "use 4757 6326 1840 0128 exp 09/29 cvv 123"},
		{"us_ssn", "My social is 335-86-6810"},
		{"us_ssn", "SSN is 335866810"},
		{"us_ssn", "Social Security #: 335-86-6810"},
		{"us_ssn", "applicant ssn=335-86-6810;"},
		{"phone", "Reach me on 0171-2345678"},
		{"phone", "Tel.: 0171 2345678"},
		{"phone", "call +1 (713) 485-1274 now"},
		{"phone", "phone number is 713-485-1274"},
		{"phone", "WhatsApp me: +55 11 91234-5678"},
		{"phone", "Telefon: 030/1234567"},
		{"phone", "tél. 06 12 34 56 78"},
		{"phone", "my cell is (713) 485-1274"},
		{"email", "mailto:ann.lee@shop.dev?subject=x"},
		{"email", "<ann.lee@shop.dev>"},
		{"email", "Ann (ann.lee@shop.dev) wrote"},
		{"email", "email=ann.lee@shop.dev, role=admin"},
		{"iban", "Bitte überweisen auf DE57229784317690253031, danke"},
		{"iban", "konto: DE57 2297 8431 7690 2530 31"},
		{"date_of_birth", "born on 1984-04-03"},
		{"date_of_birth", "DOB: 04/03/1984"},
		{"date_of_birth", "geboren am 03.04.1984"},
		{"date_of_birth", "Date of birth is 1984/04/03."},
		{"date_of_birth", "né le 03/04/1984"},
		{"date_of_birth", "birthday: 19840403"},
		{"password", "my password is hunter2!"},
		{"password", "password: Tr0ub4dor&3"},
		{"password", "login with ann / passwd=s3cretpw9"},
		{"password", "Das Passwort ist Sommer2024!"},
		{"password", "contraseña: Verano2024!"},
		{"password", "mot de passe : Soleil2024!"},
		{"password", "PW: Xk39sL2q"},
		{"passport_number", "Passport: X1234567"},
		{"passport_number", "passport # is C01X00T47"},
		{"drivers_license", "driver license number D1234567"},
		{"us_mbi", "Medicare ID 1EG4-TE5-MK73"},
		{"medical_record_number", "patient MRN# 12345678"},
		{"otp_code", "Your code is 482913"},
		{"otp_code", "OTP: 482913"},
		{"otp_code", "use verification code 482913 to log in"},
		{"otp_code", "482913 is your verification code"},
		{"bank_account", "account no. 12345678"},
		{"us_aba_routing", "acct #12345678 routing 114840046"},
		{"ip_address", "from 45.254.85.64:443"},
		{"ip_address", "client 45.254.85.64 connected"},
		{"mac_address", "device 3f:3f:52:1d:9d:d1 joined"},
		{"uk_nino", "NINO: AB 12 34 56 C"},
		{"uk_nino", "national insurance number is AB123456C"},
		{"br_cpf", "CPF: 080.443.821-86"},
		{"es_dni_nie", "mi DNI es 44477057W"},
		{"it_codice_fiscale", "il mio codice fiscale è GNTMZF85A59F205A"},
		{"de_steuer_id", "Steuer-ID: 48 275 904 310"},
		{"aws_access_key_id", "export AWS_ACCESS_KEY_ID=AKIAQZ7XW2MNKLP5TRVE"},
		{"private_key", "key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\n-----END RSA PRIVATE KEY-----"},
		{"jwt", "curl -H 'Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3MiIsImV4cCI6MTc4OTA1MjcyNX0.ItQd5AQZoy6IgvQ8xHzklOxDtsgyzgi8uli38uGwX-0' x"},
		{"db_connection_string", "DATABASE_URL=postgres://app:s3cr3tV4lue@db.internal:5432/shop"},
		{"url_credentials", "clone https://deploy:s3cr3tV4lue@git.shop.dev/api.git please"},
		{"street_address", "Ship to 683 Kuvalis Way, Springfield"},
		{"street_address", "I live at 12 Oak Street, Leeds"},
		{"diagnosis_code", "Dx: E11.9"},
		{"diagnosis_code", "diagnosis E11.9 confirmed"},
		{"crypto_btc", "send to 1CAWbu8gungX6toiuKHnNbqzVafrCR5Kwg"},
		{"vin", "VIN# 1G11VCU79SA790483"},
		{"swift_bic", "SWIFT: DEUTDEFF"},
		{"swift_bic", "BIC code is BNPAFRPP"},
		{"imei", "IMEI number 358225898645735"},
	} {
		found := false
		ids := look(s, "note", x[1])
		for _, id := range ids {
			found = found || id == x[0]
		}
		if !found {
			t.Errorf("%q holds %s, found %v", x[1], x[0], ids)
		}
	}
	for _, text := range []string{
		"Password must contain at least 8 characters",
		"Forgot your password? Click here to reset it.",
		"Password: required",
		"password is invalid",
		"Your password is about to expire",
		"The token is expired, please login again",
		"Invalid API key provided",
		"Build 10.2.33.4 deployed to prod",
		"Upgrade to 118.12.217.200 before Friday",
		"Version 2.10.133.7 released",
		"Section 5.3.2.1 applies",
		"ISBN 978-3-16-148410-0",
		"EAN 4006381333931",
		"Parcel 4589745249020760 is on its way",
		"Shipment 6011329140217073 delivered",
		"Invoice 4757632618400128 is due",
		"PO 4757632618400128",
		"Tracking: 1Z999AA10123456784",
		"case 335-86-6810 closed",
		"part 351-71-7331 in stock",
		"call ext 1234",
		"room 713-485",
		"error 482913 occurred",
		"HTTP 404 Not Found",
		"port 8080 is open",
		"Meeting at 10:30 on 2024-05-01",
		"deadline 01/02/2025",
		"born to run",
		"The card is valid",
		"card ending in 4242",
		"card **** 4242",
		"Visa ending 1111",
		"SSN last four 4655",
		"Order total 1234567890",
		"user 123456789 logged in",
		"id 78850978978 not found",
		"tel aviv 12345678",
		"sha 3aef91bb0e7629f864ddb87bf4698366181ec782",
		"commit 3aef91b",
		"uuid de506d34-c268-4d7c-b9d0-997658c3e6c0",
		"npm i foo@2.5.0",
		"git@github.com:org/repo.git",
		"image@2x.png",
		"@handle said hi",
		"contact us at support",
		"latency 45.2345 ms",
		"lat: 45",
		"pin the tail",
		"spin 1337",
		"bin 411111",
		"ticket 1234-5678",
		"The code is 1 of 3",
		"code: 200",
		"status code is 404",
		"exit code 137",
		"zip code required",
		"PIN code status ok",
		"rate 12.3456",
		"ratio 3:1",
		"time 12:34:56",
		"MAC OS 10.15.7",
		"fingerprint 3f:3f:52:1d:9d:d1:aa:bb:cc:dd:ee:ff:00:11:22:33",
		"hash 5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
		"Ship to store",
		"deliver to the front desk",
		"My address is changing",
		"The address is invalid",
		"she lives at home",
		"transfer to savings",
		"send to all",
		"routing to node 123456789",
		"account is 90 days old",
		"account 12 days",
		"swift response",
		"bic pen",
		"passport is required",
		"licence MIT 2024",
		"driver version 12345",
		"Medicare for all",
		"NHS England",
		"pan 12",
		"sin 45",
		"cell B12",
		"G20 summit",
		"A4 paper",
		"DE 2024",
		"iPhone 15",
		"Boeing 737-800",
		"ICD-10 codes",
		"Diagnosis: pending",
		"https://shop.dev/a?session=1&page=2",
		"https://user@shop.dev/",
		"10.0.0.0/8",
		"::1",
		"0.0.0.0",
		"255.255.255.0",
		"password reset email sent",
		"secret santa",
		"key: value",
		"token: string",
		"Authorization: Bearer <token>",
		"api_key: YOUR_API_KEY",
		"Bearer token required",
		"Basic auth",
		"BEGIN CERTIFICATE",
		"eyJ is base64",
		"+1",
		"+100 points",
		"+2024-05-01",
		"temp +12345678 K",
	} {
		if ids := look(s, "note", text); len(ids) > 0 {
			t.Errorf("%q holds nothing, found %v", text, ids)
		}
	}
}

func TestFlags(t *testing.T) {
	s := NewScanner(Options{})
	for _, x := range []struct {
		name, value string
		flags       Flags
		severity    analyze.Severity
	}{
		{"card_number", "4242424242424242", Test, analyze.Info},
		{"card_number", "4757632618400128", 0, analyze.High},
		{"token", goodJWT, Expired, analyze.Medium},
		{"key", "AKIAIOSFODNN7EXAMPLE", Documentation, analyze.Info},
		{"email", "ann@example.com", Documentation, analyze.Info},
		{"email", "ann@shop.dev", 0, analyze.Low},
		{"key", "sk_t" + "est_YMazgTJr9sUBb1qllMQsfYrT", Test, analyze.Info},
	} {
		look(s, x.name, x.value)
		if len(s.Hits()) != 1 {
			t.Errorf("%s: %d hits", x.value, len(s.Hits()))
			continue
		}
		h := s.Hits()[0]
		if h.Flags != x.flags || h.Severity(analyze.TLS) != x.severity {
			t.Errorf("%s: flags %b, %v", x.value, h.Flags, h.Severity(analyze.TLS))
		}
	}
}

func TestSeverity(t *testing.T) {
	card, jwt, mail := &Detectors[rows.card], &Detectors[rows.jwt], &Detectors[rows.email]
	for _, x := range []struct {
		d    *Detector
		p    analyze.Place
		wire analyze.Wire
		want analyze.Severity
	}{
		{card, analyze.Place{Where: analyze.InQuery}, analyze.TLS, analyze.Critical},
		{card, analyze.Place{Where: analyze.InBody}, analyze.TLS, analyze.Low},
		{card, analyze.Place{Where: analyze.InBody}, analyze.Plaintext, analyze.Critical},
		{jwt, analyze.Place{Where: analyze.InHeader, Name: "Authorization"}, analyze.TLS, analyze.Info},
		{jwt, analyze.Place{Where: analyze.InHeader, Name: "Authorization"}, analyze.Plaintext, analyze.High},
		{jwt, analyze.Place{Where: analyze.InCookie, Name: "sid"}, analyze.TLS, analyze.Info},
		{jwt, analyze.Place{Side: analyze.Response, Where: analyze.InBody}, analyze.TLS, analyze.Medium},
		{mail, analyze.Place{Side: analyze.Response, Where: analyze.InBody}, analyze.TLS, analyze.Low},
	} {
		if got := Severity(x.d, x.p, x.wire); got != x.want {
			t.Errorf("%s at %v over %s is %v, not %v", x.d.ID, x.p, x.wire, got, x.want)
		}
	}
}

func TestParseJWT(t *testing.T) {
	j, ok := ParseJWT([]byte(goodJWT))
	if !ok || j.Algorithm != "HS256" || j.Type != "JWT" || j.KeyID != "k1" || j.Issuer != "https://id.shop.dev" || j.Subject != "72" || j.Audience != "api" {
		t.Errorf("%v %+v", ok, j)
	}
	if !j.Expires.Equal(time.Unix(1767225600, 0)) || !j.IssuedAt.Equal(time.Unix(1767222000, 0)) || !j.NotBefore.IsZero() || j.Signature != 32 {
		t.Errorf("times %v %v %v, signature %d", j.Expires, j.IssuedAt, j.NotBefore, j.Signature)
	}
	if fmt.Sprint(j.Claims) != "[iss sub aud exp iat ctx]" {
		t.Errorf("claims %v", j.Claims)
	}
	enc := base64.RawURLEncoding.EncodeToString
	for text, want := range map[string]bool{
		enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(`{"sub":"1"}`)) + ".": true,
		enc([]byte(`{"typ":"JWT"}`)) + "." + enc([]byte(`{}`)) + ".AAAA":       true, // alg missing
		enc([]byte(`{"alg":"dir","enc":"A128GCM"}`)) + "..aaaa.bbbb.cccc":      true,
		enc([]byte(`{"page":1}`)) + "." + enc([]byte(`{}`)) + ".AAAA":          false,
		enc([]byte(`{"alg":"HS256"}`)) + "." + enc([]byte(`[1]`)) + ".AAAA":    false,
		enc([]byte(`{"alg":"HS256"}`)) + "." + enc([]byte(`{"a":`)) + ".AAAA":  false,
		"a.b.c": false, "": false, "...": false, "com.shop.app": false,
	} {
		if _, ok := ParseJWT([]byte(text)); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
	if j, _ := ParseJWT([]byte(enc([]byte(`{"alg":"dir","enc":"A128GCM"}`)) + "..aaaa.bbbb.cccc")); !j.Encrypted {
		t.Error("five parts are encrypted")
	}
}

// The same value has the same fingerprint wherever and however it is written,
// and it is that of the key.
func TestFingerprints(t *testing.T) {
	key := analyze.NewKey()
	s := NewScanner(Options{Key: key})
	print := func(name, value string) string {
		look(s, name, value)
		if len(s.Hits()) != 1 {
			t.Fatalf("%s=%s: %v", name, value, s.Hits())
		}
		return s.Hits()[0].Fingerprint
	}
	if a, b := print("card_number", "4757 6326 1840 0128"), print("x", "4757-6326-1840-0128"); a != b || a != key.Fingerprint("credit_card", []byte("4757632618400128")) {
		t.Errorf("a card with blanks %s, with dashes %s", a, b)
	}
	if a, b := print("email", "Ann@Shop.dev"), print("x", "ann@shop.dev"); a != b {
		t.Error("case of an address")
	}
	if a, b := print("access_token", "162f03780ffbd510f20cdab1a5f681cf"), print("api_key", "162f03780ffbd510f20cdab1a5f681cf"); a != b {
		t.Error("one secret under two names")
	}
}

func TestBounds(t *testing.T) {
	s := NewScanner(Options{Hits: 10, Names: 16})
	var w body.Walker
	var b bytes.Buffer
	b.WriteString("[")
	for i := range 100 {
		fmt.Fprintf(&b, `{"email":"ann%d@shop.dev","k%cz":1},`, i, 'a'+i%26)
	}
	b.WriteString("1]")
	s.Reset(Message{})
	w.Walk(jsonType, b.Bytes(), s)
	if len(s.Hits()) != 10 || s.Dropped != 90 {
		t.Errorf("%d hits kept, %d dropped", len(s.Hits()), s.Dropped)
	}
	if len(s.names) > 16 {
		t.Errorf("%d names cached", len(s.names))
	}
	// JSON in JSON in JSON is read once.
	deep := `{"first_name":"Orlane"}`
	for range 4 {
		q, _ := json.Marshal(deep)
		deep = `{"payload":` + string(q) + `}`
	}
	s.Reset(Message{})
	w.Walk(jsonType, []byte(deep), s)
	if got := foundIn(s); got != "" {
		t.Errorf("found %s", got)
	}
}

// canaries are values of every kind; none may be seen again.
func canaries(r *rand.Rand) (values []string) {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	upper := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[r.IntN(32)]
		}
		return string(b)
	}
	for range 20 {
		card := []byte(fmt.Sprintf("4%014d0", r.Int64N(1e14)))
		for !luhn(card) {
			card[15]++
		}
		values = append(values, string(card), random(10)+"@"+strings.ToLower(random(8))+".dev", "ghp_"+random(36), "sk_live_"+random(24), random(32),
			fmt.Sprintf("%03d-%02d-%04d", 100+r.IntN(500), 10+r.IntN(80), 1000+r.IntN(8000)), fmt.Sprintf("+447%09d", r.IntN(1e9)), "postgres://app:"+random(14)+"@db.shop.dev/x",
			"AKIA"+upper(16), "Zz"+random(9)+"!")
	}
	return values
}

// TestCanaries plants values in every place of messages and looks for them, and
// for any six characters of them, in all that is told.
func TestCanaries(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	s := NewScanner(Options{})
	var w body.Walker
	var m Masker
	names := []string{"email", "card_number", "password", "ssn", "token", "phone", "note", "value", "first_name", "url", "secret", "id", "iban", "x"}
	told, planted := 0, 0
	for _, v := range canaries(r) {
		quoted, _ := json.Marshal(v)
		nested, _ := json.Marshal(`{"password":` + string(quoted) + `}`)
		for _, name := range names {
			s.Reset(Message{Time: traffic})
			s.Target([]byte("/users/" + v + "?" + name + "=" + v))
			s.Header([]byte("Authorization"), []byte("Bearer "+v))
			s.Header([]byte("X-"+name), []byte(v))
			s.Header([]byte("Cookie"), []byte("sid="+v))
			s.Header([]byte("Set-Cookie"), []byte(name+"="+v+"; Path=/"))
			w.Walk(jsonType, []byte(`{"`+name+`":`+string(quoted)+`,"text":"my `+name+` is `+strings.Trim(string(quoted), `"`)+` ok","n":`+string(nested)+`,"list":[`+string(quoted)+`]}`), s)
			planted += 9
			for _, h := range s.Hits() {
				told++
				for _, out := range []string{h.Mask, h.Fingerprint, h.Place.String(), h.Pointer} {
					for i := 0; i+6 <= len(v); i++ {
						if strings.Contains(out, v[i:i+6]) {
							t.Fatalf("%q of %q is in %+v", v[i:i+6], v, h)
						}
					}
				}
				if plain := strings.Trim(h.Mask, "•"); len(h.Mask) > 0 && len([]rune(strings.ReplaceAll(h.Mask, "•", ""))) > 4 {
					t.Fatalf("mask %q shows %q", h.Mask, plain)
				}
			}
			texts := []string{"/a/" + v + "/b", "/a?" + name + "=" + v, v, "GET /x " + v + " failed", `{"` + name + `":"` + v + `"}`}
			if strings.HasSuffix(v, "!") { // nothing tells a password from a word but its name
				texts = []string{"/a?password=" + v, `{"password": "` + v + `"}`, "the password is " + v}
			}
			for _, text := range texts {
				out := m.Text([]byte(text))
				for i := 0; i+6 <= len(v); i++ {
					if piece := v[i : i+6]; strings.Contains(out, piece) && !strings.Contains("postgres://app:@db.shop.dev/xsk_live_", piece) {
						t.Fatalf("%q shows %q of %q: %q", text, piece, v, out)
					}
				}
			}
		}
	}
	if told < planted/2 {
		t.Errorf("%d of %d planted values were found: the test looks at too little", told, planted)
	}
}

func TestScanJSONL(t *testing.T) {
	in := `{"id":"1","dir":"request","url":"/a?token=162f03780ffbd510f20cdab1a5f681cf","headers":[["content-type","application/json"]],"body":"{\"a\":[{\"email\":\"ann@shop.dev\"}]}"}

{"id":"2","dir":"response","headers":[["x-user-email","bob@shop.dev"]],"body_b64":"eyJzc24iOiIzMzUtODYtNjgxMCJ9"}
`
	var out bytes.Buffer
	if err := ScanJSONL(strings.NewReader(in), &out, Options{}); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"1","at":"query","ptr":"token","type":"access_token","confidence":0.85}
{"id":"1","at":"body","ptr":"/a/0/email","type":"email","confidence":0.97}
{"id":"2","at":"header","ptr":"x-user-email","type":"email","confidence":0.97}
{"id":"2","at":"body","ptr":"/ssn","type":"us_ssn","confidence":0.95}
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	if err := ScanJSONL(strings.NewReader("{}\nnonsense with 4757632618400128\n"), &out, Options{}); err == nil || !strings.HasPrefix(err.Error(), "line 2") || strings.Contains(err.Error(), "4757") {
		t.Errorf("error %v", err)
	}
}

func FuzzValue(f *testing.F) {
	for i := range Detectors {
		for _, x := range append(Detectors[i].Yes, Detectors[i].No...) {
			name, value, _ := strings.Cut(x, "=")
			f.Add(name, []byte(value))
		}
	}
	s := NewScanner(Options{Pointers: true})
	var m Masker
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		s.Reset(Message{Time: traffic})
		s.Begin(body.Object)
		s.Key([]byte(name))
		s.Value(body.String, value)
		s.Value(body.Number, value)
		s.End(body.Object)
		s.Parameter([]byte(name), value)
		s.Header([]byte(name), value)
		s.Header([]byte("authorization"), value)
		s.Cookie(true, []byte(name), value)
		s.Target(value)
		for _, h := range s.Hits() {
			if h.Detector == nil || h.Length <= 0 || h.Length > len(value) || h.Confidence <= 0 || h.Confidence > 1 || len(h.Fingerprint) != 24 {
				t.Fatalf("%+v", h)
			}
		}
		m.Text(value)
		ParseJWT(value)
	})
}

func FuzzBody(f *testing.F) {
	f.Add("application/json", shop(1, true))
	f.Add("application/x-www-form-urlencoded", []byte("email=ann%40shop.dev&pin=1234"))
	f.Add("application/xml", []byte("<a><email>ann@shop.dev</email></a>"))
	for _, b := range hostile() {
		f.Add("application/json", b[:min(len(b), 2000)])
	}
	s := NewScanner(Options{})
	var w body.Walker
	f.Fuzz(func(t *testing.T, contentType string, b []byte) {
		s.Reset(Message{})
		w.Walk([]byte(contentType), b, s)
		if n := s.tracker.Depth(); n != 0 {
			t.Fatalf("%d containers are open after the walk", n)
		}
	})
}
