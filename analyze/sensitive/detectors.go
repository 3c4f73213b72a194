package sensitive

import "plainsight/analyze"

// Category groups detectors.
type Category string

// Categories of sensitive data.
const (
	Personal   Category = "pii"
	Location   Category = "location"
	Card       Category = "pci"
	Financial  Category = "financial"
	Health     Category = "phi"
	Credential Category = "credential"
	Secret     Category = "secret"
)

// A Detector is one kind of sensitive data: code, documentation and test at
// once.
type Detector struct {
	ID       string
	Title    string
	Category Category
	Profile  Profile          // how bad it is, by place
	Grade    analyze.Severity // of the profile Own

	// Names are the phrases that call a value this, without their case style:
	// "card number" stands for cardNumber, CARD_NO, card-nbr and the like. Words
	// before a text ("card number: …") count as its name.
	Names string
	// Alone: the shape is strong enough to report without a name, unless the name
	// says that the value is something else (an order number, a version).
	Alone bool

	// Shape is cheap and excludes most values; Check decides.
	Shape Shape
	// Begins are the prefixes of a token of a known maker; Extra its characters
	// beside letters, digits, _ and -.
	Begins []string
	Extra  string
	Check  func(*candidate) bool

	// Yes and No are examples, written name=value; with no name, =value.
	Yes, No []string
}

// Shape is what can be said of a candidate without reading it again. Lengths
// count letters, digits and bytes beyond ASCII; blanks and marks are not counted.
type Shape struct {
	Min, Max int
	// Digits is the least number of digits; AllDigits: nothing but digits (and
	// separators) is allowed.
	Digits    int
	AllDigits bool
	// Whole: only a whole value under a telling name is judged, never a piece of a
	// text.
	Whole bool
}

// Detectors is the table, in the order in which a value is judged: the first
// that knows the value names it. Types are those of issue and documentation; the
// finders of finders.go serve the rows without Check.
var Detectors = [...]Detector{
	// ---- secrets of known makers: a prefix speaks for itself -----------------
	{ID: "private_key", Title: "private key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: `private key, ssh key, ssh private key, tls key, rsa private key, rsa key, server key, signing key, client key pem, private key pem, ssl key, ec
			private key, pgp private key, private pem, cle privee, clave privada, chiave privata, privater schluessel, privatschluessel, chave privada`,
		Shape: Shape{Min: 24, Max: 1 << 20, Whole: true}, Check: privateKey,
		Yes: []string{"=-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\n-----END RSA PRIVATE KEY-----"},
		No:  []string{"=-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo\n-----END PUBLIC KEY-----", "private_key=true"}},
	{ID: "aws_access_key_id", Title: "AWS access key id", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "aws access key id, access key id, access key, aws key, aws key id",
		Begins: []string{"AKIA", "ASIA", "ABIA", "ACCA"}, Shape: Shape{Min: 20, Max: 20}, Check: awsKeyID,
		Yes: []string{"=AKIAQZ7XW2MNKLP5TRVE", "note=use AKIAQZ7XW2MNKLP5TRVE for now"}, No: []string{"=AKIAqz7xw2mnklp5trve", "=AKIAQZ7XW2MNKLP5TRVEX"}},
	{ID: "aws_secret_key", Title: "AWS secret access key", Category: Secret, Profile: LiveSecret,
		Names: "aws secret access key, secret access key, aws secret key, aws secret, s3 secret key, s3 secret, access key secret",
		Shape: Shape{Min: 30, Max: 40, Whole: true}, Check: awsSecret,
		Yes: []string{"aws_secret_access_key=wJa9rXUtnFE7IK3MDENGbPxRf1CYzQ8uLmT+o/Vk"}, No: []string{"secret_access_key=3aef91bb0e7629f864ddb87bf4698366181ec782"}},
	{ID: "gcp_api_key", Title: "Google API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "google api key, gcp api key, maps key, google maps key, maps api key, gmaps key, firebase api key",
		Begins: []string{"AIza"}, Shape: Shape{Min: 30, Max: 39}, Check: exactly(39),
		Yes: []string{"=AI" + "zaSyD3xM8kQw1nLr5vTb7YcZe0UgHj2KpRfWo"}, No: []string{"=AI" + "zaSyD3xM8kQw1nLr5"}},
	{ID: "google_oauth_token", Title: "Google OAuth access token", Category: Credential, Profile: SessionCredential, Alone: true,
		Names:  "google access token, gcp token, google token, google oauth token",
		Begins: []string{"ya29."}, Extra: ".", Shape: Shape{Min: 30, Max: 2048},
		Yes: []string{"=ya" + "29.a0AfH6SMBx3kQw1nLr5vTb7YcZe0UgHj2KpRfWo9xQm"}, No: []string{"=ya29.short"}},
	{ID: "azure_client_secret", Title: "Azure AD client secret", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "azure client secret, aad client secret, entra client secret", Shape: Shape{Min: 30, Max: 41}, Check: azureSecret,
		Yes: []string{"=H8l3Q~OJ3imANTmrb-5XGGsiTfu7cNgQXxcDl15L"}, No: []string{"=H8lxQ~OJ3imANTmrb-5XGGsiTfu7cNgQXxcDl15L"}},
	{ID: "azure_storage_key", Title: "Azure storage account key", Category: Secret, Profile: LiveSecret,
		Names: "storage account key, account key, azure storage connection string, azure storage key, storage key, azure account key, shared access key",
		Shape: Shape{Min: 40, Max: 400, Whole: true}, Check: azureStorage,
		Yes: []string{"=DefaultEndpointsProtocol=https;AccountName=acct1;AccountKey=u1Xk9wPz7Q3mTn5RbLcVd8FgHj2KyWe4ZsAo6NiMqUtBxCrYvDlGfEpJhSkOwIaT0123456789abcdefghijkl==;EndpointSuffix=core.windows.net"},
		No:  []string{"account_key=42"}},
	{ID: "github_token", Title: "GitHub token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "github token, gh token, repo token, github pat, github access token",
		Begins: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, Shape: Shape{Min: 39, Max: 255},
		Yes: []string{"=gh" + "p_0iP91rok0kTCzzTf2Bujoq1Ljsxzbf2eCJxA", "note=Use gh" + "p_0iP91rok0kTCzzTf2Bujoq1Ljsxzbf2eCJxA today"}, No: []string{"=ghp_short"}},
	{ID: "gitlab_token", Title: "GitLab token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "gitlab token, ci job token, gitlab pat, gitlab access token",
		Begins: []string{"glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-", "glwt-"}, Extra: ".", Shape: Shape{Min: 23, Max: 320},
		Yes: []string{"=glp" + "at-L3aDWYW9mzVm4bDJ8BOX"}, No: []string{"=glpat-a", "=glue-pattern-for-the-best-of-us"}},
	{ID: "slack_token", Title: "Slack token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "slack token, slack bot token, slack api token, slack access token",
		Begins: []string{"xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxe.", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xapp-"}, Extra: ".%", Shape: Shape{Min: 24, Max: 400, Digits: 3},
		Yes: []string{"=xo" + "xb-938950677380-594435052635-CPGkRST3ICL3k2MR1S3Y70bf"}, No: []string{"=xo" + "xb-your-token-goes-right-here-please"}},
	{ID: "stripe_key", Title: "Stripe secret key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "stripe key, stripe secret key, stripe api key, stripe secret, stripe webhook secret",
		Begins: []string{"sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"}, Extra: "+=", Shape: Shape{Min: 24, Max: 260},
		Yes: []string{"=sk_l" + "ive_tnsvwKQEjTcAdsqeFWuPfp4k"}, No: []string{"=pk_live_4LPMQu6TjZDlYqEZOYkpZ6Fj", "=ch_GNkUr9TXiAifBC"}},
	{ID: "twilio_key", Title: "Twilio API key", Category: Secret, Profile: SessionCredential, Alone: true,
		Names:  "twilio api key, twilio key, twilio key sid, twilio api key sid",
		Begins: []string{"SK"}, Shape: Shape{Min: 34, Max: 34}, Check: prefixHex("SK"),
		Yes: []string{"=SK" + "94a3a7f441374bccae8130494142a6c2"}, No: []string{"sid=SK" + "94a3a7f441374bccae8130494142a6c2", "=AC94a3a7f441374bccae8130494142a6c2"}},
	{ID: "sendgrid_key", Title: "SendGrid API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "sendgrid api key, mail api key, sendgrid key",
		Begins: []string{"SG."}, Extra: ".", Shape: Shape{Min: 50, Max: 70}, Check: sendgrid,
		Yes: []string{"=SG" + ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"}, No: []string{"=SG.1.2"}},
	{ID: "npm_token", Title: "npm token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "npm token, registry token, npm auth token",
		Begins: []string{"npm_"}, Shape: Shape{Min: 39, Max: 40}, Check: exactly(40),
		Yes: []string{"=np" + "m_zyAuk0F2ENuTaJwKslD64Y8w5UynaC2YSQZp"}, No: []string{"=np" + "m_config_registry_and_other_settings1"}},
	{ID: "pypi_token", Title: "PyPI token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "pypi token, pypi api token",
		Begins: []string{"pypi-AgE"}, Shape: Shape{Min: 50, Max: 400},
		Yes: []string{"=pypi" + "-AgEIcHlwaS5vcmcmq7KzddU1qSKeZKy8RbzKSgZhq6GOvHtvACFd0rnle"}, No: []string{"=pypi-package-name"}},
	{ID: "anthropic_key", Title: "Anthropic API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "anthropic api key, anthropic key, claude key, claude api key",
		Begins: []string{"sk-ant-"}, Shape: Shape{Min: 40, Max: 200},
		Yes: []string{"=sk-" + "ant-api03-x3kQw1nLr5vTb7YcZe0UgHj2KpRfWo9xQmB4sD6fG8hJ1kL3zX5cV7bN9mQ2wE4rT6yU8iO0pAA"}, No: []string{"=sk-ant-hill"}},
	{ID: "openai_key", Title: "OpenAI API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "openai api key, openai key, llm key, llm api key, gpt key",
		Begins: []string{"sk-"}, Shape: Shape{Min: 40, Max: 300}, Check: openAI,
		Yes: []string{"=sk-p" + "roj-x3kQw1nLr5vTb7YcZe0UgHj2T3BlbkFJKpRfWo9xQmB4sD6fG8hJ"}, No: []string{"=sk-skating-is-a-fine-sport-for-everyone-in-town"}},
	{ID: "huggingface_token", Title: "Hugging Face token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "huggingface token, hf token, hugging face token, huggingface api key",
		Begins: []string{"hf_", "api_org_"}, Shape: Shape{Min: 36, Max: 44}, Check: huggingFace,
		Yes: []string{"=hf" + "_QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"}, No: []string{"=hf_transfer"}},
	{ID: "digitalocean_token", Title: "DigitalOcean token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "do token, digitalocean token, digital ocean token, digitalocean access token",
		Begins: []string{"dop_v1_", "doo_v1_", "dor_v1_"}, Shape: Shape{Min: 69, Max: 71}, Check: exactly(71),
		Yes: []string{"=dop" + "_v1_0f00f068158ed8f05d4a6b6c754c745d7d94cbd06098503de50a68f076669e39"}, No: []string{"=dop_v1_0f00"}},
	{ID: "shopify_token", Title: "Shopify token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "shopify access token, shop token, shopify token",
		Begins: []string{"shpat_", "shpca_", "shppa_", "shpss_"}, Shape: Shape{Min: 37, Max: 38}, Check: exactly(38),
		Yes: []string{"=shp" + "at_2a9e2375f30c074d93fda823377d004a"}, No: []string{"=shpat_"}},
	{ID: "telegram_bot_token", Title: "Telegram bot token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "telegram bot token, telegram token, bot token",
		Yes:   []string{"=48666" + "45023:AAZCBqFMwDPc6aeqaQbfwgiXTjxMt7AzhUu"}, No: []string{"=4866645023:AAZCB", "=10:AA:BB:CC:DD:EE"}},
	{ID: "vault_token", Title: "HashiCorp Vault token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "vault token, x vault token",
		Begins: []string{"hvs.", "hvb.", "hvr."}, Shape: Shape{Min: 24, Max: 400},
		Yes: []string{"=hv" + "s.CAESIJlWh3kQw1nLr5vTb7YcZe0UgHj2KpRfWo9xQmB4sD6fG8hJ1kL3zX5cV7bN9mQ2wE4rT6yU8iO0pAsDfGhJkL"}, No: []string{"=hvs.net"}},
	{ID: "databricks_token", Title: "Databricks token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "databricks token, databricks api token",
		Begins: []string{"dapi"}, Shape: Shape{Min: 36, Max: 38}, Check: prefixHex("dapi"),
		Yes: []string{"=da" + "pifa89c334d7394f2db38a486617db39fc"}, No: []string{"=dapifa89"}},
	{ID: "mailchimp_key", Title: "Mailchimp API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "mailchimp api key, mailchimp key", Shape: Shape{Min: 35, Max: 37}, Check: mailchimp,
		Yes: []string{"=ee114e6a061eb9bf39acc7d5ff5498ce-us6"}, No: []string{"=ee114e6a061eb9bf39acc7d5ff5498ce-eu1"}},
	{ID: "atlassian_token", Title: "Atlassian API token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "jira token, atlassian api token, atlassian token, confluence token, bitbucket token, jira api token",
		Begins: []string{"ATATT3", "ATCTT3", "ATBB"}, Extra: "=", Shape: Shape{Min: 32, Max: 400, Digits: 2},
		Yes: []string{"=ATA" + "TT3xFfGF0ClTvUfkA1mokDI1LfGBWIqnn70PQLIgVQN2ovLu0XlEBCWemOx7SrL448kQqq5vsSSZs47fcJdchHWEvvq3Y=DA405E82"}, No: []string{"=ATATT3"}},
	{ID: "newrelic_key", Title: "New Relic key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "newrelic key, nr api key, new relic key, newrelic api key, new relic api key, newrelic license key",
		Begins: []string{"NRAK-", "NRII-", "NRIQ-", "NRRA-"}, Shape: Shape{Min: 30, Max: 48},
		Yes: []string{"=NR" + "AK-0AY445QNDU784E951PHDFHZB1ME"}, No: []string{"=NRAK-1"}},
	{ID: "grafana_token", Title: "Grafana token", Category: Secret, Profile: LiveSecret, Alone: true,
		Names:  "grafana token, grafana api key, grafana api token",
		Begins: []string{"glsa_", "glc_eyJ"}, Extra: "+=", Shape: Shape{Min: 40, Max: 400},
		Yes: []string{"=gl" + "sa_SSi6rcDO4uhqFyFZ17KprL8RB2rzRPaS_bc4f551a"}, No: []string{"=glsa_x"}},
	{ID: "slack_webhook", Title: "Slack webhook", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "slack webhook, slack hook, slack webhook url",
		Yes:   []string{"=https://hooks.sl" + "ack.com/services/T15DYUOYD/B9KI0NOKL6O/op3ueZGQdfzqoltqzZ12saKi"}, No: []string{"=https://hooks.slack.com/services/"}},
	{ID: "discord_webhook", Title: "Discord webhook", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "discord webhook, discord webhook url",
		Yes:   []string{"=https://discord." + "com/api/webhooks/273307296418099816/Ch7SBhnlIvEjM5SaZN7PCdgiX6YkJMvdNvtCjL6gdfIZcYe1qP0icuUVy7TBMwxDd"}, No: []string{"=https://discord.com/channels/1/2"}},

	// ---- credentials ----------------------------------------------------------
	{ID: "jwt", Title: "JSON Web Token", Category: Credential, Profile: SessionCredential, Alone: true,
		Names: "jwt, jwt token, auth jwt, id token, json web token",
		Yes:   []string{"=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3MiIsImV4cCI6MTc4OTA1MjcyNX0.ItQd5AQZoy6IgvQ8xHzklOxDtsgyzgi8uli38uGwX-0"},
		No:    []string{"=eyJwYWdlIjo2LCJzb3J0IjoiYXNjIiwicSI6ImFiYyJ9", "topic=com.hamburger.priesthood.presume"}},
	{ID: "saml_assertion", Title: "SAML assertion", Category: Credential, Profile: SessionCredential, Alone: true,
		Names: "saml response, saml assertion, saml token, assertion saml", Shape: Shape{Min: 24, Max: 1 << 20, Whole: true}, Check: saml,
		Yes: []string{"SAMLResponse=PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxwPSJ1cm46b2FzaXM6bmFtZXM6dGM6U0FNTDoyLjA6cHJvdG9jb2wiPg=="}, No: []string{"saml_response=ok"}},
	{ID: "presigned_url", Title: "presigned URL", Category: Credential, Profile: SessionCredential, Alone: true,
		Shape: Shape{Min: 24, Max: 4096, Whole: true}, Check: sasToken,
		Names: "signed url, presigned url, download url, upload url, sas url, sas token",
		Yes:   []string{"=https://b.s3.amazonaws.com/a.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Date=20260101T000000Z&X-Amz-Expires=900&X-Amz-Signature=b6b3e51a6d4bcdf0029b72081a8629ffae478229520c7e5402384564765dfab9"},
		No:    []string{"=https://cdn.shop.example/a.pdf?v=2&sig=1"}},
	{ID: "db_connection_string", Title: "connection string with a password", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: "database url, connection string, dsn, jdbc url, database uri, mongo uri, redis url, postgres url, mysql url, amqp url, database dsn",
		Yes:   []string{"=postgres://app:s3cr3tV4lue@db.internal:5432/shop", "=Server=db1;Database=shop;User Id=sa;Password=Tr0ub4dor;"}, No: []string{"=redis://localhost:6379/0", "=postgres://app@db.internal/shop"}},
	{ID: "url_credentials", Title: "credentials in a URL", Category: Credential, Profile: LiveSecret, Alone: true,
		Names: "",
		Yes:   []string{"=https://deploy:s3cr3tV4lue@git.shop.dev/api.git"}, No: []string{"=https://shop.dev:8443/@handle/post:31", "=git@github.com:org/repo.git", "=https://user:****@shop.dev/"}},
	{ID: "password_hash", Title: "password hash", Category: Credential, Profile: PasswordLike, Alone: true,
		Names: `password hash, hashed password, encrypted password, pass hash, password digest, pwd hash, passwd hash, crypted password, hash password, mot de passe
			hash, password bcrypt`,
		Shape: Shape{Min: 12, Max: 400, Whole: true}, Check: passwordHash,
		Yes: []string{"=$2b$10$Cg.7tqAtQNNHAbEwwsIZ3h3aRTOXM/oDaFG5h0Xs08Xa1eZ5bgsx.", "password_hash=5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"}, No: []string{"=$25.00", "hashed_password=true"}},
	{ID: "totp_seed", Title: "one-time-password seed", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: `totp secret, otp secret, otp uri, mfa secret, otpauth url, otpauth uri, otpauth, two factor secret, 2fa secret, totp seed, otp seed, totp key, otp
			key, authenticator secret, authenticator key, mfa seed, totp uri, 2 fa secret, 2 fa seed, secreto totp, google authenticator secret, twofactor secret,
			otp auth url`,
		Shape: Shape{Min: 16, Max: 64, Whole: true}, Check: totp,
		Yes: []string{"mfa_secret=JBSWY3DPEHPK3PXP", "=otpauth://totp/Shop:ann?secret=JBSWY3DPEHPK3PXP&issuer=Shop"}, No: []string{"mfa_secret=required", "otp_secret=123456"}},
	{ID: "crypto_wallet_key", Title: "wallet key or seed phrase", Category: Secret, Profile: LiveSecret,
		Names: `wallet private key, seed phrase, recovery phrase, mnemonic, mnemonic phrase, wallet seed, backup phrase, wif, wallet wif, xprv, extended private key,
			secret recovery phrase, wallet mnemonic, frase semilla, frase de recuperacion, bip 39`,
		Shape: Shape{Min: 40, Max: 400, Whole: true}, Check: walletKey,
		Yes: []string{"seed_phrase=bone bomb adapt buzz abandon anchor answer art amount apart allow bamboo", "wallet_private_key=KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn"}, No: []string{"mnemonic=please enter your words", "mnemonic=F5"}},
	{ID: "oauth_client_secret", Title: "OAuth client secret", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: `client secret, oauth client secret, oauth secret, consumer secret, app client secret, oauth consumer secret, oidc secret, oidc client secret, client
			credential secret, secret client, client secret key, app secret, application secret, clave secreta cliente, secret client, secreto cliente, client geheimnis, geheimnis client`,
		Begins: []string{"GOCSPX-"}, Shape: Shape{Min: 16, Max: 200}, Check: clientSecret,
		Yes: []string{"client_secret=2b03f04416686788e374675ca8d1faa3", "=GOC" + "SPX-DcdMre0qbk2ulhblXc0n2DJ4eURg"}, No: []string{"client_secret=********", "client_secret=your-client-secret"}},
	{ID: "api_key", Title: "API key", Category: Secret, Profile: LiveSecret, Alone: true,
		Names: `api key, x api key, api secret, api secret key, app key, application key, subscription key, ocp apim subscription key, secret key, access api key,
			auth key, x auth key, secret, api access key, master key, license api key, app secret, application secret, webhook secret, signing secret, shared
			secret, hmac secret, hmac key, encryption key, private api key, developer key, dev key, integration key, functions key, x functions key, access key
			secret, signing key, rapidapi key, x rapidapi key, partner key, provider key, merchant key, gateway key, service account key, account secret, bot
			secret, jwt secret, session secret, token secret, cookie secret, secret token, cle api, clave api, chave api, chiave api, api schluessel,
			apischluessel, klucz api, api nyckel, api avain, api anahtari, api keys, x goog api key, personal api key, server secret, client api key, dd api key,
			dd application key, access secret, consumer key secret, admin key, root key, signing key secret, verification secret, endpoint secret,
			client key, api zugangsschluessel, llave api, chave api, chave de api, klucz api, api sleutel, api nyckel, api schluessel, apischluessel, schluessel api, schluessel, clave api, cle api, cle d api, chiave api, chave api, chave de api, klucz api, api klucz, api anahtari, klic api, rapidapi key, x rapidapi key, api nyckel, api nokkel, api sleutel, api avain`,
		Begins: []string{"PMAK-", "lin_api_", "figd_", "sntrys_", "sntryu_", "sbp_", "pscale_tkn_", "pscale_pw_", "dp.pt.", "dp.st.", "pul-", "rubygems_", "sq0atp-", "sq0csp-", "AGE-SECRET-KEY-1", "HRKU-", "rnd_live_", "key_live_", "cfut_", "cfat_", "cfk_", "tfp_", "gsk_", "r8_", "xai-", "nvapi-", "pplx-", "FLWSECK-", "rzp_live_", "sk_prod_", "patq_", "ntn_", "secret_live_", "EAAA"},
		Extra:  ".", Shape: Shape{Min: 16, Max: 200}, Check: token,
		Yes: []string{"api_key=4b62def3eb65bd5838bc5a30bf6fef38", "x-api-key=9AQShURNs9SrlIALVQMcsrBbNGlbJ"}, No: []string{"api_key=REDACTED", "cache_key=e57b8dac526c2238", "public_api_key=4b62def3eb65bd5838bc5a30bf6fef38", "api_key=xxxxxxxxxxxxxxxxxxxxxxxx", "object_key=uploads/2024/consistency.avif"}},
	{ID: "session_cookie", Title: "session cookie", Category: Credential, Profile: SessionCredential,
		Names: `session id cookie, php sess id, phpsessid, jsessionid, sessionid, asp net session id, aspnet session id, connect sid, session cookie, session id
			token, sess id, phpsession, laravel session, ci session, rack session, cfid, cftoken, aspxauth, cookie session, sid cookie`,
		Shape: Shape{Min: 16, Max: 4096, Whole: true}, Check: sessionID,
		Yes: []string{"PHPSESSID=aa4cbb787122ca4a0d739715eb2b7728"}, No: []string{"session_cookie=SameSite", "PHPSESSID=deleted"}},
	{ID: "access_token", Title: "access or refresh token", Category: Credential, Profile: SessionCredential,
		Names: `access token, auth token, refresh token, session token, id token opaque, api token, token, oauth token, bearer, authentication token, user token,
			login token, x auth token, x access token, x api token, security token, x amz security token, aws session token, service token, personal access token,
			private token, device token secret, reset token, password reset token, magic token, magic link token, invite token, remember token, remember me token,
			impersonation token, admin token, deploy token, job token, webhook token, bot access token, user access token, app access token, page access token,
			long lived token, one time token, verification token, email verification token, confirmation token, activation token, jeton, jeton acces, token de
			acceso, token acceso, token de acesso, zugriffstoken, access jwt, auth ticket, authorization token, auth session, x session token, x user token, id
			session, session key, session secret key, oauth access token, oauth refresh token, oauth 2 token, code verifier, authorization code, auth code, device
			code, unlock token, sso token, ticket granting ticket, x token, id token, id token hint, accesstoken secret, oauth token secret, rt token, web token,
			jwt token, guest token, client token, registry auth, token value, access credential, api access token,
			zugangstoken, zugriffstoken, token acceso, token de acceso, ficha acceso, token acesso, token de acesso, jeton d acces, token d acces, gettone di
			accesso, toegangstoken, token dostepu, authentifizierungstoken, sitzungstoken, token sesion, token de sesion, token sessao, zugriffstoken, zugangstoken, aktualisierungstoken, sitzungstoken, jeton acces, jeton access, jeton d acces, jeton rafraichissement, token acceso, token de acceso, token actualizacion, ficha acceso token, token di accesso, token accesso, token de acesso, token acesso, token dostepu, erisim tokeni, pristupovy token, toegangstoken, bearer token value, tilgangstoken, atkomsttoken`,
		Shape: Shape{Min: 16, Max: 4096, Whole: true}, Check: accessToken,
		Yes: []string{"access_token=psm5YMTV+BD1X8nUUZd6dRogPP7l69XSWbF7L56AYAk=", "token=162f03780ffbd510f20cdab1a5f681cf"}, No: []string{"next_page_token=Mdaeg9oSh1gNm52flbufJId34q8kCaFo", "token_type=Bearer", "csrf_token=162f03780ffbd510f20cdab1a5f681cf", "max_tokens=128000"}},
	{ID: "bearer_token", Title: "bearer token", Category: Credential, Profile: SessionCredential, Alone: true,
		Names: "",
		Yes:   []string{"authorization=Bearer mF9B5f41JqM8kQw1nLr5vTb7"}, No: []string{"token_type=Bearer", "authorization=Bearer"}},
	{ID: "basic_auth", Title: "basic credentials", Category: Credential, Profile: PasswordLike, Alone: true,
		Names: "basic auth, authorization, basic authorization, proxy authorization, auth header, authorization header, http basic auth",
		Yes:   []string{"authorization=Basic YW5uOmh1bnRlcjI="}, No: []string{"authorization=Basic realm", "note=Basic understanding"}},
	{ID: "pin_code", Title: "PIN", Category: Credential, Profile: CardAuthentication,
		Names: `pin, card pin, user pin, pin block, atm pin, account pin, access pin, pin value, security pin, debit pin, transaction pin, mpin, upi pin, puk, sim
			pin, puk code, unlock pin, device pin, geheimzahl, login pin, secret pin, pincode secret, nip, codigo nip, clave nip, numero nip, code secret carte, codigo pin, codice pin, kod pin, pin kodu, pin kod, pincode kaart, pin tarjeta, pin number, pin karte, anshobango, kartenpin, pin code card`,
		Shape: Shape{Min: 4, Max: 16, Digits: 4, Whole: true}, Check: pin,
		Yes: []string{"card_pin=9301"}, No: []string{"spin=1337", "pin=true", "pin_count=4341", "pinned=1564"}},
	{ID: "otp_code", Title: "one-time code", Category: Credential, Profile: PasswordLike,
		Names: `otp, otp code, verification code, mfa code, totp code, one time password, one time code, sms code, two factor code, 2 fa code, auth pin code, login
			code, confirmation code, authentication code, security passcode, passcode, one time passcode, totp, otp value, verify code, sms otp, email otp, mfa
			token code, mfa otp, otp pin, otp number, twofactor code, backup code, recovery code, code otp, codigo de verificacion, codigo verificacion, code de
			verification, bestaetigungscode, codice di verifica, codigo de verificacao, verifizierungscode, kod weryfikacyjny, yan zheng ma, yanzhengma, 验证码,
			認証コード, 인증번호, код подтверждения, email code, phone code, activation code, step up code, auth code, tfa code, security code sms, challenge code, tan
			code, mtan, your code, code is, mot de passe a usage unique, verifieringskod, onay kodu, dogrulama kodu,
			einmalcode, einmalpasswort, code verification, code de verification, codigo verificacion, codigo de verificacion, codigo otp, codice di verifica,
			verifizierungscode, bestaetigungscode, verificatiecode, kod weryfikacyjny, codigo de verificacao, two fa token, two fa code, 2 fa code, 2 fa token,
			auth code 2 fa, dogrulama kodu, kode verifikasi, tan, tan nummer, tan number, sms tan, push tan, foto tan, code sms, code par sms, kod sms, sms kod, sms kodu, codigo sms, codigo por sms, codice sms, smscode, kode otp, kode sms, ma otp, ma xac nhan, ninsho kodo, ninsho kodo sms, injeung beonho, jianyanma, podtverzhdeniya kod, kod podtverzhdeniya, overovaci kod, ellenorzo kod, codigo de acceso, codigo acceso, codigo de seguridad sms, code acces, code de securite sms, codice accesso, pin sms, sms pin, code verif, verif code, bestatigungscode, bestatigungskode, bekreftelseskode, engangskode, engangskod, kertakayttokoodi, toegangscode, anmeldecode, zugangscode, login kod, kod logowania, kod dostepu, tek kullanimlik sifre, onay kodu sms, auth code sms, code lautet, ihr code, dein code, code de securite, votre code, ton code, tu codigo, su codigo, il tuo codice`,
		Shape: Shape{Min: 4, Max: 8, Digits: 4, AllDigits: true}, Check: always,
		Yes: []string{"otp=277821", "note=Your verification code is 952615."}, No: []string{"otp_length=6666", "error_code=123456", "otp=abcdef"}},
	{ID: "security_answer", Title: "security answer", Category: Credential, Profile: PasswordLike,
		Names: `security answer, secret answer, answer to security question, challenge answer, secret question answer, security question answer, kba answer, recovery
			answer, respuesta secreta, respuesta de seguridad, reponse secrete, antwort sicherheitsfrage, sicherheitsantwort, resposta secreta, risposta segreta,
			memorable answer, hint answer, security response, security reply, memorable word, password answer, respuesta seguridad, respuesta pregunta seguridad, antwort sicherheit, antwort auf sicherheitsfrage, geheime antwort, reponse securite, reponse question secrete, risposta sicurezza, risposta domanda segreta, resposta seguranca, resposta pergunta secreta, odpowiedz bezpieczenstwa, tajna odpowiedz, guvenlik yaniti, gizli cevap, kontrolni otazka odpoved, sikkerhetssvar, sakerhetssvar, geheim antwoord, beveiligingsantwoord`,
		Shape: Shape{Min: 1, Max: 120, Whole: true}, Check: answer,
		Yes: []string{"security_answer=Rosie"}, No: []string{"security_answer=********", "security_answer=true"}},
	{ID: "password", Title: "password", Category: Credential, Profile: PasswordLike,
		Names: `password, passwd, pwd, pass, passphrase, pass phrase, user pass, user password, login password, account password, new password, old password, current
			password, confirm password, database password, database pass, admin password, root password, smtp password, ldap password, wifi password, wpa
			passphrase, sudo password, passwort, kennwort, mot de passe, motdepasse, mdp, contrasena, contraseña, clave de acceso, senha, palavra passe,
			wachtwoord, haslo, losenord, adgangskode, passord, salasana, heslo, jelszo, parola, sifre, mima, 密码, パスワード, 비밀번호, пароль, secret password, secret
			word, pass word, j password, userpassword, passwrd, psw, ftp password, temp password, temporary password, initial password, keystore password,
			truststore password, bind password, service password, proxy password, auth password, ssh password, pw, client password, pass code word, pin password,
			userpwd, passcode, wifi key, wpa key, passkey phrase, chiave di accesso, lozinka, geslo, κωδικος, 暗证号码, password plaintext, secret pass,
			clave acceso, clave de acceso, parola chiave, parola d ordine, kata sandi, mat khau, lozinka, geslo, adgangskode, tunnussana, wagtwoord, κωδικός
			πρόσβασης, palavra passe, palavra chave, codigo de acceso secreto, parol, parola utente, mima, kata sandi, matkhau, anshou bango, pasuwado, bimilbeonho, kodeord, clave usuario, clave ingreso, clave acceso, contrasenia, pass phrase user, pwd hash plain, lozinka korisnika, parool, slaptazodis, fjalekalimi, codigo acceso secreto, passwort neu, pwd user, userpass`,
		Shape: Shape{Min: 1, Max: 128, Whole: true}, Check: password,
		Yes: []string{"password=hunter2!", "note=Pwd: w6NjdBAoRVNZcec7AA. Bring it.", `query=mutation { login(user: "ann", password: "hunter2!") { id } }`}, No: []string{"password=********", "password_min_length=2048", "password_reset_url=https://shop.dev/reset", "has_password=true", "password=null", "password=is required", "password=passed", "note=please reset your password using the link"}},

	// ---- contact and identity ---------------------------------------------------
	{ID: "email", Title: "e-mail address", Category: Personal, Profile: Contact, Alone: true,
		Names: `email, email address, contact email, user email, mail, e mail, billing email, mail address, correo, correo electronico, courriel, e mail adresse,
			mailadresse, emailadresse, adres email, epost, e post, sahkoposti, eposta, posta elettronica, indirizzo email, endereco de email, 邮箱, 電子郵件, メール,
			メールアドレス, 이메일, почта, youxiang, login email, recovery email, reply to, from email, to email, cc emails, bcc, email id, adresse mail, adresse email,
			adres e mail`,
		Yes: []string{"=ann.lee@shop.dev", "note=Write to ann.lee+news@shop.co.uk."}, No: []string{"=git@github.com:org/repo.git", "=icon@2x.png", "=@scope/pkg@1.2.3", "=j***@shop.dev", "=foo@2.5.0"}},
	{ID: "phone", Title: "telephone number", Category: Personal, Profile: Contact, Alone: true,
		Names: `phone, phone number, mobile, mobile number, mobile phone, tel, telephone, telephone number, contact phone, cell phone, cell, cell number, primary
			phone, fax, fax number, home phone, work phone, telefon, telefonnummer, handy, handynummer, mobil, mobilnummer, rufnummer, telefono, numero de
			telefono, numero telefono, movil, celular, cellulare, telefone, telemovel, telephone portable, portable, numero de telephone, gsm, telefoon,
			telefoonnummer, mobiel, telefonnummer privat, puhelin, puhelinnumero, matkapuhelin, mobiltelefon, telefonszam, telefonni cislo, numer telefonu,
			komorka, cep telefonu, telefon numarasi, 电话, 手机, 手机号, 电话号码, 電話, 電話番号, 携帯電話, 전화번호, 휴대폰, телефон, shouji, shoujihao, dianhua, whatsapp, whatsapp number,
			sms number, msisdn, phone e 164, contact number, contact mobile, day phone, evening phone, daytime phone, landline, callback number, caller number,
			caller id number, from number, to number, emergency contact phone, emergency phone, work number, home number, call me at, call me on, reach me at, reach me on,
			ring me on, call us at, tel no, contact no, phone mobile, friendly name phone,
			telefono fisso, komorkowy, numer komorkowy, ph nb, mob nb, fax nb, tel national, tel local, telefonnr, telnr, mobilnr, handynr, tlf, tlfnr, tlf
			number, αριθμός τηλεφώνου, κινητό, gsm, gsm number, gsm nummer, telefone celular, telefone fixo, telemovel, sdt, so dien thoai, nomor telepon, nomor
			hp, telepon, mobilni telefon, broj telefona, telefoonnr, numer kontaktowy, puhelinnro, contact tel, whatsapp, denwa, denwa bango, keitai, keitai bango, keitai denwa, fon, fon number, fonnummer, festnetz, festnetznummer, mobiltelefonnummer, numero portable, portable number, numero mobile, numero mobil, numero celular, celphone, tel mobile, tel movil, tel movel, tel fixe, cep tel, ceptel, cep no, telefonnyy nomer, nomer telefona, telefonnyi, telefon mobil, telefon komorkowy, telefonszam, lianxi dianhua, yidong dianhua, jeonhwa, jeonhwa beonho, hyudaepon, mobile contact, recipient mobile, ringeren, call back on, reached at, reached on, erreichbar unter, ruckruf unter, rueckruf unter, appelez le, appelez au, joignable au, llamame al, llamar al, chiamami al, ligue para, bel me op, num de tel, numero de tel, tel num, telecom value, phone extension number, phone 1, phone 2, alt phone, alternate phone, secondary phone, telf 1, telf 2, phone nbr, dayphone, eveningphone, night phone, sms to, call to, caller phone, phone e164, e 164 number, voice number`,
		Shape: Shape{Min: 7, Max: 24, Digits: 7}, Check: phone,
		Yes: []string{"=+447527017223", "phone=(713) 485-1274", "note=Call me at +33-653-385-959 tomorrow"}, No: []string{"sku=379-478-0056", "phone_count=7134851274", "=7134851274", "=+12"}},
	{ID: "date_of_birth", Title: "date of birth", Category: Personal, Profile: GovernmentID,
		Names: `dob, date of birth, birth date, birthdate, birthday, born on, born, date birth, birth day, geburtsdatum, geburtstag, geb datum, geboren am, date de
			naissance, datenaissance, naissance, ne le, nee le, fecha de nacimiento, fechanacimiento, fecha nacimiento, fecha nac, nacimiento, data de nascimento,
			data nascimento, nascimento, data di nascita, data nascita, nato il, nata il, geboortedatum, geboorte datum, data urodzenia, urodzenia, fodelsedatum,
			fodselsdato, fodselsdag, syntymaaika, syntymapaiva, datum narozeni, szuletesi datum, dogum tarihi, data nasterii, 生日, 出生日期, 生年月日, 誕生日, 생년월일, дата
			рождения, chusheng riqi, shengri, patient dob, customer dob, bdate, b date, birth dt, dobirth, birth, dob date, birthday date, born date, born at, d o
			b,
			gbdat, brth dt, tanggal lahir, ngay sinh, datum rodjenja, datum rojstva, fecha nac, fec nac, fec nacimiento, dt nascimento, dt nasc, nascimento,
			syntymapaiva, fodselsdag, date de naissance, geb datum, gebdatum, gebdat, gebdatum, geb dat, seinengappi, seinen gappi, tanjobi, birth date, date birth, geburtstag, data rozhdeniya, den rozhdeniya, data birth, dt birth, f nacimiento, fodt, fodd, narozen, narodeny, rodjen, dogum gunu, dogum, saengnyeonwolil, birth day, date of birth iso, dob iso, dateofbirth, nacido el, nacida el, ne le, nee le, nato a, urodzony, urodzona, geboren op, d nascimento, ngaysinh`,
		Shape: Shape{Min: 6, Max: 22, Digits: 4}, Check: birthDate,
		Yes: []string{"dob=1984-04-03", "note=Born 02.02.1962 in Kiel", "birthday=19960611"}, No: []string{"birth_rate=1984", "dob=1884-04-03", "created_on=1984-04-03", "dob=true"}},
	{ID: "us_ssn", Title: "US social security number", Category: Personal, Profile: GovernmentID,
		Names: `ssn, social security number, social security, ss number, ssn number, tax payer ssn, social sec number, us ssn, soc sec number, ssnumber, social, ssn
			tin, tin, taxpayer id, tax id, tax id number, tax payer id, tax identification number, national id, national identification number, national id number, ss, taxpayer identification number, tax payer identification number, taxpayer id number, tin ssn, ssn value, full ssn, ssn full`,
		Shape: Shape{Min: 9, Max: 9, Digits: 9, AllDigits: true}, Check: ssn,
		Yes: []string{"ssn=335-86-6810", "note=SSN 570-12-7998 on file", "social_security_number=335866810"}, No: []string{"ssn=000-12-3456", "ssn=***-**-7472", "part_number=351-71-7331", "note=ticket 150-69-1155 was merged", "ssn_last4=4655"}},
	{ID: "us_itin", Title: "US taxpayer number (ITIN)", Category: Personal, Profile: GovernmentID,
		Names: `itin, individual taxpayer id, individual taxpayer identification number, individual taxpayer number, taxpayer id, tax id, ssn, tin, itin number, tax
			payer id`,
		Shape: Shape{Min: 9, Max: 9, Digits: 9, AllDigits: true}, Check: itin,
		Yes: []string{"itin=923-88-1963"}, No: []string{"itin=923-18-1963"}},
	{ID: "us_ein", Title: "US employer number (EIN)", Category: Personal, Profile: Contact,
		Names: `ein, employer identification number, employer id, employer id number, federal tax id, fein, federal employer id, company tax id, business tax id, tax
			id, tax id number, ein number, employer tax id`,
		Shape: Shape{Min: 9, Max: 9, Digits: 9, AllDigits: true}, Check: ein,
		Yes: []string{"ein=12-2390179"}, No: []string{"ein=00-2390179", "employer_id=42"}},
	{ID: "credit_card", Title: "payment card number", Category: Card, Profile: CardNumber, Alone: true,
		Names: `card number, credit card, credit card number, creditcard, creditcard number, debit card, debit card number, cc, pan, primary account number, payment
			card number, payment card, bank card, bank card number, card pan, card num, kartennummer, kreditkarte, kreditkartennummer, numero de tarjeta, numero
			tarjeta, tarjeta, tarjeta de credito, numero de carte, numero carte, carte bancaire, carte de credit, numero carta, carta di credito, numero do
			cartao, numero cartao, cartao de credito, cartao, kaartnummer, creditcardnummer, numer karty, kortnummer, kortin numero, luottokortti, cislo karty,
			kart numarasi, kredi karti, 卡号, 银行卡号, 信用卡号, カード番号, 카드번호, номер карты, yinhang kahao, kahao, card, source card number, charged to, acct pan, fpan,
			dpan, card no, account pan, card account number,
			kart number, ccnum, kortnr, kartennr, nomor kartu, broj kartice, cislo karty, kartyaszam, korttinumero, luottokortti, numero da tarjeta, num carte,
			numero tarjeta credito, numero de la carte, tarjeta number, kaado number, kart numarasi, kart number, kort number, payment instrument number, instrument pan, card bancaire number, carte bancaire number, number carte bancaire, number carte, karte number, carta number, karta number, karten number, kreditkartennr, kreditkarten number, creditcardnumber, tarjeta credito number, card de credito, card credito number`,
		Shape: Shape{Min: 12, Max: 19, Digits: 12, AllDigits: true}, Check: card,
		Yes: []string{"=4757 6326 1840 0128", "card_number=345306175872980", "note=Charged to 36784217550778 yesterday"}, No: []string{"=4757 6326 1840 0129", "order_id=4589745249020760", "tracking_number=6011329140217073", "=4141414141414141414", "note=Order 4589-7452-4902-0760 has shipped", "score=0.4134731934960387"}},
	{ID: "card_track", Title: "card track data", Category: Card, Profile: CardAuthentication, Alone: true,
		Names: `track data, track 1, track 2, track 1 data, track 2 data, magstripe, mag stripe, magnetic stripe, track one, track two, swipe data, card swipe,
			magstripe data`,
		Yes: []string{"=;4708714461184494=28032011320342159?", "=%B5162941715388037^ABSHIRE/BERTRAND^31092012100132217?"}, No: []string{"=;4708714461184495=28032011320342159?", "track=;1=2?"}},
	{ID: "card_cvv", Title: "card verification value", Category: Card, Profile: CardAuthentication,
		Names: `cvv, cvc, cvv 2, cvc 2, card verification value, card verification code, card security code, security code, csc, card code, cvn, cvv code, cvc code,
			card cvv, card cvc, verification value, card verification, card cvn, kartenpruefnummer, pruefnummer, pruefziffer karte, codigo de seguridad, codigo
			seguridad, code de securite, codice di sicurezza, cryptogramme, cryptogramme visuel, codigo de seguranca, cvv number, cvv cvc, cav 2,
			beveiligingscode, kod cvv, kod bezpieczenstwa, sikkerhedskode, sakerhetskod, guvenlik kodu, код безопасности,
			card cid, codice sicurezza, codice di sicurezza, ccv, card ccv, cvn, cvn 2, card verification number, kartenpruefnummer, kartenprufnummer, codigo de
			seguridad, cod seguridad, codigo seguranca, cryptogramme visuel, guvenlik kodu, codigo seguridad card, codigo seguridad tarjeta, kod cvc, cvc kod, cvv kod, pruefcode, kartenpruefcode, codigo cvv, codigo cvc, code cvv, code cvc, codice cvv, amex cid, security code cvv, cvv 2 code, cvc 2 code, cv number, cv code, cid code, card cvv 2, cvd, cvd number, card cvd`,
		Shape: Shape{Min: 3, Max: 4, Digits: 3, AllDigits: true}, Check: cvv,
		Yes: []string{"cvv=858", "note=CVV 498 on the back"}, No: []string{"cvv=85", "cvv=***", "status_code=404", "security_code=true"}},
	{ID: "card_expiry", Title: "card expiry date", Category: Card, Profile: CardNumber,
		Names: `card expiry, card expiry date, expiry date card, card expiration, card exp, exp date, exp, expdate, card exp date, cc exp, cc expiry, card valid
			until, valid thru, valid till card, card valid to, card valid thru, good thru, expiry month year, card expires, card expires at, exp month, exp year,
			card exp month, card exp year, expiry mm yy, expiry, gueltig bis karte, ablaufdatum karte, date expiration carte, fecha de caducidad, fecha caducidad
			tarjeta, fecha vencimiento tarjeta, caducidad tarjeta, validade cartao, data validade cartao, scadenza carta, data scadenza carta, vervaldatum kaart,
			data waznosci karty, expmonth, expyear, expiry month, expiry year, mm yy, card validity, gultig bis karte, expiration month, expiration year,
			gueltig bis, gultig bis, fecha caducidad, fecha de caducidad, fecha vencimiento, fecha de vencimiento, vencimiento tarjeta, caducidad, scadenza, data
			scadenza, validade, data validade, data de validade, vervaldatum, data waznosci, utlopsdato, giltig till, son kullanma tarihi, platnost do, date d
			expiration, ablauf, kort utlopsdato, card vencimiento, expiry card date, card validade, cc exp date, cc exp month, cc exp year, skt, gyldig til, voimassa, lejarat, ablaufdatum, verfallsdatum, vencimiento, verfall`,
		Shape: Shape{Min: 3, Max: 6, Digits: 3, AllDigits: true, Whole: true}, Check: cardExpiry,
		Yes: []string{"card_expiry=09/29", "expDate=11/2029"}, No: []string{"card_expiry=19/29", "exp=1734528294", "expires_on=1980-08-19"}},

	// ---- money ---------------------------------------------------------------------
	{ID: "iban", Title: "bank account number (IBAN)", Category: Financial, Profile: GovernmentID, Alone: true,
		Names: `iban, iban number, bank iban, account iban, debtor iban, creditor iban, iban code, bank account, bank account number, account number, kontonummer,
			cuenta bancaria, numero de cuenta, compte bancaire, conto corrente, rekeningnummer, numer konta, nr konta, numero compte, konto, rekening, transfer
			to, bankverbindung, iban nummer, coordonnees bancaires, ccc iban, iban del conto, konto iban, cuenta, compte, rachunek, cuenta abono, cuenta cargo, konto number, bank konto, tili`,
		Shape: Shape{Min: 15, Max: 34, Digits: 6}, Check: iban,
		Yes: []string{"=PL25673318463210873271301865", "iban=DK16 2007 0977 9993 50", "note=IBAN CH69 4649 3246 9465 4299 3."}, No: []string{"=PL25673318463210873271301866", "product_code=DE50KPHE574650942706"}},
	{ID: "swift_bic", Title: "bank code (BIC)", Category: Financial, Profile: WeakIdentifier,
		Names: `bic, swift code, swift, bank bic, bic code, swift bic, bic swift, bic number, codigo swift, codigo bic, code swift, code bic, codice bic, codice
			swift, bank swift, bank swift code, creditor bic, debtor bic, agent bic, bicfi, bank identifier code, swift id, kod swift, kod bic, bic kod`,
		Shape: Shape{Min: 8, Max: 11}, Check: bic,
		Yes: []string{"bic=HSBCUS33XXX", "note=BIC BNPAUS22."}, No: []string{"bic=PRODUCTS", "code=INTERNAL", "swift=enabled"}},
	{ID: "us_aba_routing", Title: "US bank routing number", Category: Financial, Profile: Contact,
		Names: `routing number, aba routing, ach routing, aba, aba number, routing transit number, bank routing number, rtn, ach routing number, aba routing number,
			routing, bank routing, transit number, aba code, wire routing number, routing code, fedwire routing`,
		Shape: Shape{Min: 9, Max: 9, Digits: 9, AllDigits: true}, Check: aba,
		Yes: []string{"routing_number=114840046", "note=Routing number 080698791."}, No: []string{"routing_number=114840047", "store_no=114840046"}},
	{ID: "bank_account", Title: "bank account number", Category: Financial, Profile: GovernmentID,
		Names: `bank account number, account number, bank account, checking account, savings account, checking account number, savings account number, acct number,
			bank acct, primary account number, deposit account, bban, bban number, account number bank, kontonummer, numero de cuenta, numero cuenta, cuenta
			bancaria, numero de compte, compte bancaire, numero conto, conto corrente, numero da conta, conta bancaria, conta corrente, rekeningnummer, numer
			konta, numer rachunku, rachunek bankowy, tilinumero, pankkitili, bankkonto, clabe, cuenta clabe, nuban, bsb account number, ach account number, dda
			number, dda, payee account, beneficiary account, beneficiary account number, destination account number, recipient account number, recipient account,
			ach account, debit account, credit account number, giro account, girokonto, bank number account, 银行账号, 账号, 口座番号, 계좌번호, номер счета, zhanghao, banka
			hesap numarasi, hesap numarasi, cuenta corriente, sort code account number,
			numero conta, numero da conta, conta corrente, conta bancaria, bankn, acct nb, account nb, cislo uctu, broj racuna, szamlaszam, tilinumero, kontonr,
			nomor rekening, so tai khoan, hesap number, numero cuenta bancaria, cuenta corriente, numero compte bancaire, compte bancaire, conto bancario, koza bango, koza number, kouza bangou, kouza number, bankgiro, plusgiro, number compte, compte number, konto number, conta number, cuenta number, conto number, cta bancaria, cta number, cci, cbu, cvu, kontonr, konto nr, rachunek, numer rachunku bankowego, rachunku number, rekening number, gyeja beonho, gyejwa number, zhanghao number, yinhang zhanghao, hesap number, cont bancar, bank account no, bank acc number`,
		Shape: Shape{Min: 6, Max: 18, Digits: 6, AllDigits: true}, Check: bankAccount,
		Yes: []string{"account_number=6247964747", "note=Account number 37474568."}, No: []string{"account_id=6247964747", "account_number=12"}},
	{ID: "crypto_btc", Title: "Bitcoin address", Category: Financial, Profile: Contact, Alone: true,
		Names: `btc address, bitcoin address, wallet address, btc wallet, bitcoin wallet, bitcoin, btc, wallet, deposit address, payout address, crypto address,
			withdrawal address, send to, receive address`,
		Shape: Shape{Min: 26, Max: 62, Digits: 1}, Check: bitcoin,
		Yes: []string{"=1CAWbu8gungX6toiuKHnNbqzVafrCR5Kwg", "=bc1qd8xpvp3k3yftg98tlsur9cn3sn57w2azxk03ht"}, No: []string{"=1CAWbu8gungX6toiuKHnNbqzVafrCR5Kwh", "cid=QmdT1oX82g6gcA54QYkGDWqdz2645dcfpf9JBubap4Zg9Y"}},
	{ID: "crypto_eth", Title: "Ethereum address", Category: Financial, Profile: Contact, Alone: true,
		Names: `eth address, wallet, ethereum address, wallet address, eth wallet, ethereum wallet, crypto address, crypto wallet, evm address, deposit address,
			payout address, eth, ethereum, from wallet, to wallet, withdrawal address, send to, receive address`,
		Shape: Shape{Min: 42, Max: 42}, Check: ethereum,
		Yes: []string{"=0x5C07E70FBCd71b22a5f4daa3B4Db0aDef0AA604B"}, No: []string{"=0x5c07E70FBCd71b22a5f4daa3B4Db0aDef0AA604B", "tx_hash=0xd6b9d4df242ebbea91cf34036a11d14cbd7594b14a030cb7241fa5416819554a", "contract=0x5c07e70fbcd71b22a5f4daa3b4db0adef0aa604b"}},
	{ID: "salary", Title: "salary", Category: Financial, Profile: HealthData,
		Names: `salary, annual salary, gross salary, base salary, net salary, monthly salary, yearly salary, current salary, base pay, annual income, yearly income,
			gross pay, net pay, wage, wages, hourly wage, annual wage, gehalt, bruttogehalt, jahresgehalt, grundgehalt, nettogehalt, salaire, salaire brut,
			salaire annuel, salaire net, salario, salario bruto, salario anual, salario base, sueldo, stipendio, retribuzione, ordenado, salaris, loon, brutoloon,
			wynagrodzenie, pensja, manadslon, palkka, plat, mzda, maas, зарплата, 工资, 薪资, 年薪, 給与, 급여, 연봉, xinzi, gongzi, compensation amount, annual
			compensation, base compensation, total compensation, annual earnings, household income, monthly income, pay rate annual, ctc, salary amount,
			compensation, gross income, remuneration,
			basic pay, einkommen, bruttogehalt, nettogehalt, nettolohn, bruttolohn, monatsgehalt, salario bruto, salario base, salario mensual,
			sueldo base, salaire brut, salaire net, retribuzione, brutoloon, palkka, brut maas, pensja, mzda, gaji, nenshu, nenshuu, kyuyo, gekkyu, lohn, arbeitslohn, monatslohn, jahreslohn, bruttolohn, arslon, arsinkomst, arslonn, manadslon, manedslonn, lonn, sueldo mensual, sueldo bruto, sueldo neto, remuneracion, remuneracao, retribucion, salario neto, salario liquido, salario mensal, paie, revenu annuel, revenus, reddito annuo, reddito, renda mensal, renda anual, ingresos anuales, ingresos mensuales, inkomen, jaarinkomen, dochod, pensja brutto, yillik maas, aylik maas, gelir, aylik gelir, oklad, zarabotnaya plata, zarplata, fizetes, brutto gehalt, netto gehalt, pay amount annual, basic salary, take home pay, monthly pay, annual pay, package ctc, luong, gaji pokok, wage amount, compensation base, salary base, pay base, base wage, hourly rate wage, gross annual income, net income monthly, employee salary, salary annual, salary monthly, ote`,
		Shape: Shape{Min: 4, Max: 12, Digits: 4, Whole: true}, Check: money,
		Yes: []string{"annual_salary=89134", "gross_salary=116543.50"}, No: []string{"salary_grade=1200", "amount=89134", "salary=0"}},

	// ---- national numbers -----------------------------------------------------------
	{ID: "br_cpf", Title: "Brazilian CPF", Category: Personal, Profile: GovernmentID, Alone: true,
		Names: `cpf, cpf number, numero cpf, numero do cpf, cadastro de pessoas fisicas, cpf cnpj, cpf titular, documento cpf, tax id, documento, national id, tax
			number`,
		Shape: Shape{Min: 11, Max: 11, Digits: 11, AllDigits: true}, Check: cpf,
		Yes: []string{"=415.382.251-58", "cpf=08044382186"}, No: []string{"=415.382.251-59", "=08044382186", "cpf=11111111111"}},
	{ID: "br_cnpj", Title: "Brazilian CNPJ", Category: Personal, Profile: Contact, Alone: true,
		Names: "cnpj, company cnpj, numero cnpj, cpf cnpj, cnpj number, cadastro nacional da pessoa juridica, tax id, company tax id, documento",
		Shape: Shape{Min: 14, Max: 14, Digits: 4}, Check: cnpj,
		Yes: []string{"=57.137.416/0001-73"}, No: []string{"=57.137.416/0001-74", "=57137416000173"}},
	{ID: "it_codice_fiscale", Title: "Italian codice fiscale", Category: Personal, Profile: GovernmentID, Alone: true,
		Names: "codice fiscale, fiscal code, cod fiscale, cod fisc, cf, codicefiscale, tax code, tax id, partita fiscale, national id, steuernummer italien",
		Shape: Shape{Min: 16, Max: 16, Digits: 4}, Check: codiceFiscale,
		Yes: []string{"=GNTMZF85A59F205A"}, No: []string{"=GNTMZF85A59F205B"}},
	{ID: "mx_curp", Title: "Mexican CURP", Category: Personal, Profile: GovernmentID, Alone: true,
		Names: "curp, clave curp, clave unica de registro de poblacion, numero curp, curp number, national id", Shape: Shape{Min: 18, Max: 18, Digits: 7}, Check: curp,
		Yes: []string{"=XEYL710816HVZDCW46"}, No: []string{"=XEYL711816HVZDCW46", "=XEYL710816HVZDCW47"}},
	{ID: "cn_resident_id", Title: "Chinese resident id", Category: Personal, Profile: GovernmentID, Alone: true,
		Names: `id card number, id card no, resident identity card, resident id, resident id number, identity card, identity card number, id number, shenfenzheng,
			shenfenzhenghao, shen fen zheng, sfz, sfzh, 身份证, 身份证号, 身份证号码, 公民身份号码, chinese id, national id, national id number, citizen id, id card, idcard, cert
			number, zhengjianhao, 证件号, 证件号码`,
		Shape: Shape{Min: 18, Max: 18, Digits: 17}, Check: residentID,
		Yes: []string{"=420106198111223986", "note=身份证号 510104194702208746."}, No: []string{"=420106198111223987", "id=53619424955664608", "message_id=533232306484920544"}},
	{ID: "vin", Title: "vehicle identification number", Category: Personal, Profile: Contact, Alone: true,
		Names: `vin, vehicle identification number, vin number, chassis vin, vin code, chassis number, vehicle id number, vehicle vin, fahrgestellnummer,
			fahrzeugidentifikationsnummer, fin, numero de chasis, numero de bastidor, bastidor, numero de chassis, numero chassis, telaio, numero di telaio,
			numero telaio, chassisnummer, chassi, numer vin, frame number, car vin, 车架号, 車台番号, sasi numarasi, vehicle chassis number`,
		Shape: Shape{Min: 17, Max: 17, Digits: 4}, Check: vin,
		Yes: []string{"=1G11VCU79SA790483"}, No: []string{"=1G11VCU78SA790483", "lot=1G11VCU79SA790483"}},
	{ID: "mrz", Title: "machine readable zone", Category: Personal, Profile: GovernmentID, Alone: true,
		Names: "mrz, machine readable zone, mrz data, mrz code, mrz line, mrz text, mrz string, mrz lines, passport mrz, document mrz",
		Yes:   []string{"=P<FRAMEUNIER<<ADJUTOR<<<<<<<<<<<<<<<<<<<<<<<\nM211652083FRA8008242M2909152<<<<<<<<<<<<<<06"}, No: []string{"=P<FRAMEUNIER<<ADJUTOR<<<<<<<<<<<<<<<<<<<<<<<\nM211652084FRA8008242M2909152<<<<<<<<<<<<<<06", "=a<<b<<<c"}},
	{ID: "ca_sin", Title: "Canadian social insurance number", Category: Personal, Profile: GovernmentID,
		Names: `sin, social insurance number, sin number, canadian sin, sin card, nas, numero assurance sociale, numero d assurance sociale, social insurance,
			national id, tax id, sin canada, sin no`,
		Shape: Shape{Min: 9, Max: 9, Digits: 9, AllDigits: true}, Check: sin,
		Yes: []string{"sin=524 496 213", "note=SIN 716-647-417."}, No: []string{"sin=524 496 214", "sin=0.5"}},
	{ID: "uk_nino", Title: "UK national insurance number", Category: Personal, Profile: GovernmentID,
		Names: `nino, national insurance number, ni number, national insurance, nat ins number, insurance number, ni no, uk nino, national ins number, national id,
			tax id, nin`,
		Shape: Shape{Min: 9, Max: 9, Digits: 6}, Check: nino,
		Yes: []string{"nino=KM 00 06 34 B", "note=NI number OZ039273C"}, No: []string{"nino=BG000634B", "=KM000634B"}},
	{ID: "uk_nhs", Title: "NHS number", Category: Health, Profile: HealthData,
		Names: "nhs number, nhs no, nhs, nhs id, nhs patient number, patient nhs number, nhsnumber", Shape: Shape{Min: 10, Max: 10, Digits: 10, AllDigits: true}, Check: nhs,
		Yes: []string{"nhs_number=6164202868", "note=NHS number 652 463 4314."}, No: []string{"nhs_number=6164202869", "=6164202868"}},
	{ID: "in_aadhaar", Title: "Indian Aadhaar", Category: Personal, Profile: GovernmentID,
		Names: `aadhaar, aadhaar number, aadhar, aadhar number, adhaar, adhar number, uidai, uidai number, uid number, aadhaar card, aadhaar card number, aadhaar uid,
			aadhaar id, adhar card, national id, आधार`,
		Shape: Shape{Min: 12, Max: 12, Digits: 12, AllDigits: true}, Check: aadhaar,
		Yes: []string{"aadhaar=6268 4189 5660"}, No: []string{"aadhaar=6268 4189 5661", "account_id=626841895660"}},
	{ID: "in_pan", Title: "Indian permanent account number", Category: Personal, Profile: GovernmentID,
		Names: "pan number, pan card, permanent account number, pan card number, income tax pan, pan no, pan, pan id, tax id, permanent account no, indian pan, itpan",
		Shape: Shape{Min: 10, Max: 10, Digits: 4}, Check: indianPAN,
		Yes: []string{"pan_card=NPFTO9778B", "note=PAN: LWUAY9120U, thanks"}, No: []string{"pan_number=NPFXO9778B", "sku=NPFTO9778B"}},
	{ID: "es_dni_nie", Title: "Spanish DNI or NIE", Category: Personal, Profile: GovernmentID,
		Names: `dni, nif, nie, documento identidad, documento nacional de identidad, documento de identidad, dni nie, nif nie, numero dni, numero nie, numero
			documento, numero de documento, dni number, nie number, identificacion fiscal, cedula, tax id, national id, documento, num doc, id number, vat number,
			documento fiscal, identificador fiscal, doc identidad, documento identificacion, numero identificacion`,
		Shape: Shape{Min: 9, Max: 9, Digits: 7}, Check: dni,
		Yes: []string{"nif=44477057W", "note=DNI: Z6111578T, gracias"}, No: []string{"nif=44477057X", "sku=44477057W"}},
	{ID: "fr_nir", Title: "French social security number", Category: Personal, Profile: GovernmentID,
		Names: `nir, numero securite sociale, numero de securite sociale, insee number, numero insee, securite sociale, num secu, numero secu, nss, numero ss, carte
			vitale, numero carte vitale, social security number, social security, national id, insee, immatriculation securite sociale, secu, french ssn, code
			insee, secu sociale, sociale number, num secu sociale`,
		Shape: Shape{Min: 13, Max: 15, Digits: 12}, Check: nir,
		Yes: []string{"nir=236111013379052", "note=numéro de sécurité sociale: 259123540437359."}, No: []string{"nir=236111013379053", "=236111013379052"}},
	{ID: "de_steuer_id", Title: "German tax id", Category: Personal, Profile: GovernmentID,
		Names: `steuer id, steueridentifikationsnummer, steuer identifikationsnummer, steueridentnummer, steuer ident nummer, steuer idnr, idnr, steuernummer, steuer
			idnummer, steuerid, tin, tax id, tax id number, tax identification number, german tax id, national id, identifikationsnummer, steuerliche
			identifikationsnummer, taxid, tax id de, steuer ident number, steueridentnr, steuer ident, steuer identnr, steuer identifikation, steuer identifikations number, ident number steuer`,
		Shape: Shape{Min: 11, Max: 11, Digits: 11, AllDigits: true}, Check: steuerID,
		Yes: []string{"steuer_id=48275904310"}, No: []string{"steuer_id=48275904311", "shipment_id=48275904310"}},
	{ID: "nl_bsn", Title: "Dutch BSN", Category: Personal, Profile: GovernmentID,
		Names: "bsn, burgerservicenummer, burger service nummer, bsn nummer, bsn number, sofinummer, sofi nummer, citizen service number, dutch bsn, national id",
		Shape: Shape{Min: 8, Max: 9, Digits: 8, AllDigits: true}, Check: bsn,
		Yes: []string{"bsn=684507183"}, No: []string{"bsn=684507184", "job_id=684507183"}},
	{ID: "pl_pesel", Title: "Polish PESEL", Category: Personal, Profile: GovernmentID,
		Names: "pesel, numer pesel, nr pesel, pesel number, polish id, national id, national id number, identyfikator pesel", Shape: Shape{Min: 11, Max: 11, Digits: 11, AllDigits: true}, Check: pesel,
		Yes: []string{"pesel=45021162337"}, No: []string{"pesel=45021162338", "pesel=45991162337"}},
	{ID: "se_personnummer", Title: "Swedish personal identity number", Category: Personal, Profile: GovernmentID,
		Names: `personnummer, personal identity number, person nummer, personal number, personnr, samordningsnummer, swedish id, svenskt personnummer, national id,
			national id number, social security number, ssn, pnr, persnr, person number, personnumer, personal id number`,
		Shape: Shape{Min: 10, Max: 12, Digits: 10, AllDigits: true}, Check: personnummer,
		Yes: []string{"personnummer=350313-5299", "personnummer=195012093406"}, No: []string{"personnummer=350313-5298", "org_number=350313-5299"}},
	{ID: "fi_hetu", Title: "Finnish personal identity code", Category: Personal, Profile: GovernmentID,
		Names: `hetu, henkilotunnus, henkilo tunnus, personal identity code, sosiaaliturvatunnus, sotu, finnish id, national id, personbeteckning, finnish ssn,
			personal id code`,
		Shape: Shape{Min: 10, Max: 11, Digits: 9}, Check: hetu,
		Yes: []string{"hetu=251204A058P", "note=henkilötunnus: 031277-383U"}, No: []string{"hetu=251204A058R"}},
	{ID: "kr_rrn", Title: "Korean resident registration number", Category: Personal, Profile: GovernmentID,
		Names: `rrn, resident registration number, resident number, korean id, jumin, jumin number, juminbeonho, jumin deungnok beonho, 주민등록번호, 주민번호, national id,
			foreigner registration number, resident reg number`,
		Shape: Shape{Min: 13, Max: 13, Digits: 13, AllDigits: true}, Check: rrn,
		Yes: []string{"rrn=060305-4055395"}, No: []string{"rrn=061305-4055395", "rrn=060305-9055395"}},
	{ID: "jp_my_number", Title: "Japanese My Number", Category: Personal, Profile: GovernmentID,
		Names: "my number, individual number, kojin bango, kojinbango, mynumber, マイナンバー, 個人番号, japanese my number, my number card, individual number card",
		Shape: Shape{Min: 12, Max: 12, Digits: 12, AllDigits: true}, Check: myNumber,
		Yes: []string{"my_number=167096478269"}, No: []string{"my_number=167096478260", "owner_id=167096478269"}},
	{ID: "sg_nric", Title: "Singapore NRIC or FIN", Category: Personal, Profile: GovernmentID,
		Names: `nric, nric fin, fin, nric number, fin number, nric no, singapore id, identity card number, id number, national id, uinfin, national registration
			identity card, ic number`,
		Shape: Shape{Min: 9, Max: 9, Digits: 7}, Check: nric,
		Yes: []string{"nric=S8410641J"}, No: []string{"nric=S8410641K", "sku=S8410641J"}},
	{ID: "au_tfn", Title: "Australian tax file number", Category: Personal, Profile: GovernmentID,
		Names: "tfn, tax file number, tfn number, australian tax file number, ato tfn, tax id, taxfilenumber", Shape: Shape{Min: 8, Max: 9, Digits: 8, AllDigits: true}, Check: tfn,
		Yes: []string{"tfn=731957919"}, No: []string{"tfn=731957918"}},
	{ID: "au_medicare", Title: "Australian Medicare number", Category: Health, Profile: HealthData,
		Names: "medicare number, medicare card, medicare card number, medicare no, medicare, medicare id, medicare irn", Shape: Shape{Min: 10, Max: 11, Digits: 10, AllDigits: true}, Check: medicare,
		Yes: []string{"medicare_number=6772593431", "note=Medicare card 5247 87126 2."}, No: []string{"medicare_number=6772593441"}},
	{ID: "za_id", Title: "South African id number", Category: Personal, Profile: GovernmentID,
		Names: `sa id number, rsa id, south african id, sa id, rsa id number, south african id number, za id, id number, identity number, national id, south africa
			id, identity document number, id number za, za id number, south african identity number, rsa identity number, id za`,
		Shape: Shape{Min: 13, Max: 13, Digits: 13, AllDigits: true}, Check: southAfrican,
		Yes: []string{"rsa_id=7801265285183"}, No: []string{"rsa_id=7801265285184", "created_at=7801265285183"}},
	{ID: "cl_rut", Title: "Chilean RUT", Category: Personal, Profile: GovernmentID,
		Names: "rut, run, run rut, rut number, numero rut, rol unico tributario, rut run, rut cliente, tax id, rut chile, national id, rut empresa", Shape: Shape{Min: 7, Max: 9, Digits: 7}, Check: rut,
		Yes: []string{"rut=7.776.659-6", "note=RUT: 8124699-8, gracias"}, No: []string{"rut=7.776.659-7", "rut=42"}},
	{ID: "tr_tckn", Title: "Turkish identity number", Category: Personal, Profile: GovernmentID,
		Names: `tckn, tc kimlik no, tc kimlik, kimlik no, kimlik numarasi, tc kimlik numarasi, tc no, turkish id, turkish id number, national id, national id number,
			identity number, kimlik, t c kimlik number`, Shape: Shape{Min: 11, Max: 11, Digits: 11, AllDigits: true}, Check: tckn,
		Yes: []string{"tckn=78850978978"}, No: []string{"tckn=78850978979"}},
	{ID: "be_nrn", Title: "Belgian national register number", Category: Personal, Profile: GovernmentID,
		Names: `rijksregisternummer, national register number, national registry number, numero registre national, numero de registre national, registre national, rrn
			be, insz, niss, insz number, rijksregister, nrn, belgian id, national id, national number, national id number`, Shape: Shape{Min: 11, Max: 11, Digits: 11, AllDigits: true}, Check: belgian,
		Yes: []string{"rijksregisternummer=76040803885", "national_register_number=62.06.23-622.32"}, No: []string{"rijksregisternummer=76040803886"}},
	{ID: "passport_number", Title: "passport number", Category: Personal, Profile: GovernmentID,
		Names: `passport, passport number, passport no, passport id, passportnumber, passport num, reisepass, reisepassnummer, passnummer, passeport, numero de
			passeport, numero passeport, pasaporte, numero de pasaporte, numero pasaporte, passaporto, numero passaporto, passaporte, numero do passaporte, numero
			passaporte, paspoort, paspoortnummer, paszport, numer paszportu, passi, passin numero, passnr, pasaport, pasaport no, 护照, 护照号, 护照号码, 旅券番号, パスポート番号,
			여권번호, паспорт, номер паспорта, huzhao, passport document number, travel document number, travel document, passport book number, pass number, ryoken bango, ryoken number, ryoken, huzhao haoma, huzhao number, huzhaohao, yeogwon beonho, zagranpasport, pasport, nomer pasporta, seriya pasporta, cislo pasu, pas number, broj pasosa, broj putovnice, utlevelszam, numar pasaport, passi number, passnummer reise, paspor, nomor paspor, ho chieu, so ho chieu, pasaporte number, passeport number, viaje passport`,
		Shape: Shape{Min: 6, Max: 12, Digits: 1}, Check: passport,
		Yes: []string{"passport_no=CL9JT2363", "note=Passport number RV0067636."}, No: []string{"passport=true", "passport_expiry=2030-01-01", "passport_number=DE"}},
	{ID: "drivers_license", Title: "driving licence number", Category: Personal, Profile: GovernmentID,
		Names: `driver license, drivers license, driver s license, driver license number, drivers license number, driver s license number, dl number, dl no, driving
			license, driving license number, license number, license no, drivers licence, driver licence, drv license, fuehrerschein, fuehrerscheinnummer, permis
			de conduire, permis conduire, driver license id, numero permis, numero de permis, permis, licencia de conducir, numero de licencia, carnet de
			conducir, patente di guida, numero patente, carta de conducao, cnh, numero cnh, carteira de motorista, rijbewijs, rijbewijsnummer, prawo jazdy,
			korkort, ajokortti, ehliyet, ehliyet no, 驾驶证, 驾照, 運転免許証番号, 운전면허, водительское удостоверение, driver lic number, driverlicence, dln, driving permit,
			driver permit number, license id driver, state license number,
			permiso conducir, permiso de conducir, licencia conducir, licencia de conducir, licencia de conduccion, patente guida, patente di guida, carta
			conducao, carta de conducao, korkort, forerkort, ajokortti, ehliyet number, ridicsky prukaz, korkort, korkortsnummer, korkorts number, forerkort, forerkortnummer, korekort, korekortnummer, ajokortti, ajokorttinumero, patente, patente guida, patente di guida, unten menkyo, unten menkyosho, menkyo, menkyosho number, jiazhao, jiashizheng, jiashizheng hao, unjeon myeonheo, prava, voditelskoe udostoverenie, ridicsky prukaz, jogositvany, vozacka dozvola, permis auto, surucu belgesi, ehliyet, ehliyet number, sim mengemudi, prawo jazdy, numer prawa jazdy, carta conducao, carteira motorista, cnh number, licencia number, licencia manejo, fuehrerscheinnr, fuehrerschein number, rijbewijs, rijbewijs number`,
		Shape: Shape{Min: 5, Max: 20, Digits: 4}, Check: licence,
		Yes: []string{"dl_number=P9925884", "note=Driver's license NF814357."}, No: []string{"license_no=MIT", "driver_license=valid", "software_license=P9925884"}},
	{ID: "license_plate", Title: "vehicle registration plate", Category: Personal, Profile: Contact,
		Names: `license plate, plate number, registration plate, plate, license plate number, plate no, number plate, vehicle plate, car plate, vrm, vehicle
			registration number, vehicle registration, registration mark, kennzeichen, kfz kennzeichen, nummernschild, plaque immatriculation, plaque d
			immatriculation, immatriculation, matricula, placa, placa do veiculo, patente vehiculo, targa, kenteken, numer rejestracyjny, rejestracja,
			registreringsnummer, rekisterinumero, plaka, 车牌, 车牌号, ナンバープレート, 번호판, госномер, chepai, chepaihao, vehicle plate number, tag number plate, car
			registration, licenseplate, vehicle reg, vrn, reg plate, spz,
			plaque, matricula vehiculo, plaque immatriculation, plaque d immatriculation, numero immatriculation, numero de plaque, placa vehiculo, placa do
			veiculo, kentekenplaat, numer rejestracyjny, registreringsnummer, rekisterinumero, rendszam, plaka number, tablica, tablica rejestracyjna, tablice rejestracyjne, nr rejestracyjny, numer rejestracyjny, rejestracyjny number, kfz kennzeichen, kfz number, autokennzeichen, placa vehiculo, placa number, placa veiculo, matricula vehiculo, plaque immatriculation, immat, immatriculation number, targa veicolo, targa auto, numero targa, registreringsnummer, regnr, reg number, nummerplade, nummerplaat, spz, rz vozidla, rendszam, registarska oznaka, registracija, plaka number, gosnomer, nomernoy znak, chepai, chepaihao, chepai hao, sharyo bango, nomor polisi, nopol, bien so xe, vehicle reg, vehicle registration mark, vrm, plate no`,
		Shape: Shape{Min: 3, Max: 14, Digits: 1, Whole: true}, Check: plate,
		Yes: []string{"license_plate=MBO-4463", "plate=H-XV 3494"}, No: []string{"plate=true", "plate_count=76", "plate=dinner"}},
	{ID: "person_name", Title: "person's name", Category: Personal, Profile: Contact,
		Names: `first name, last name, full name, given name, family name, surname, sur name, customer name, cardholder name, cardholder, card holder, card holder
			name, contact name, middle name, account holder, account holder name, holder name, name on card, patient name, employee name, person name, maiden
			name, mother maiden name, mothers maiden name, father name, fathers name, mother name, spouse name, guardian name, beneficiary name, recipient name,
			sender name, payee name, payer name, buyer name, seller contact name, guest name, passenger name, traveler name, traveller name, driver name,
			applicant name, borrower name, tenant name, subscriber name, student name, teacher name, doctor name, physician name, provider contact name, legal
			name, birth name, preferred name, real name, given names, first names, forename, forenames, receiver name, attn, attention name, fore name, christian
			name, second name, nick name legal, author full name, shipping name, billing name, ship to name, bill to name, consignee name, emergency contact name,
			next of kin, next of kin name, debtor name, creditor name, customer full name, member name, owner name, insured name, policy holder, policyholder
			name, policy holder name, signatory name, signer name, attendee name, candidate name, vorname, nachname, familienname, zuname, rufname, geburtsname,
			vollstaendiger name, karteninhaber, kontoinhaber, ansprechpartner, prenom, nom de famille, nom complet, nom famille, nom client, nom du titulaire,
			titulaire, nom et prenom, nombre completo, primer nombre, segundo nombre, apellido, apellidos, primer apellido, segundo apellido, apellido paterno,
			apellido materno, nombre del cliente, nombre cliente, nombre del titular, nombre titular, nombres, nombre y apellidos, nome completo, sobrenome,
			primeiro nome, nome do cliente, nome cliente, nome do titular, nome titular, ultimo nome, cognome, nome e cognome, nome intestatario, intestatario,
			voornaam, achternaam, familienaam, tussenvoegsel, volledige naam, imie, nazwisko, imie i nazwisko, pelne imie, fornamn, efternamn, fornavn, etternavn,
			efternavn, etunimi, sukunimi, koko nimi, jmeno, prijmeni, cele jmeno, vezeteknev, keresztnev, csaladnev, teljes nev, prenume, nume de familie, nume
			complet, adi soyadi, ad soyad, soyad, soyadi, isim, 姓名, 真实姓名, 名字, 姓氏, 氏名, お名前, 苗字, 이름, 성명, имя, фамилия, отчество, фио, xingming, zhenshi xingming,
			shimei, namae, user full name, display full name, name full, name first, name last, name given, name family, name middle, contact person, contact full
			name, firstname, lastname, fullname, middlename, nom usage, nom naissance, reporter name, requester full name, caller name, supervisor name, manager
			name, hr contact name, kontakt name, kontaktperson, firstname lastname, last name first name, initials and surname, mrs name, given name kana, family
			name kana, voller name, empfaenger name, empfaengername, absender name, destinataire nom, nom destinataire, nombre destinatario, destinatario nombre,
			nome destinatario, rider name, borrower full name, witness name, nominee name, customername, parent name, child name, donor name, insured person,
			claimant name, kin name, winner name, player real name, individual name, lastname firstname, cust name, payor name, remitter name, drawer name,
			account name holder, name holder, holder full name, holder, mother s maiden name, father s name,
			名前, お名前, vorna, nachn, name on account, additional name, dbtr name, cdtr name, titulaire compte, nom titulaire, nom du titulaire, titular cuenta,
			titular de la cuenta, titular da conta, intestatario, rekeninghouder, posiadacz rachunku, nama lengkap, nama depan, nama belakang, ho ten, ho va ten,
			isim, soyisim, prezime, ime i prezime, krestni jmeno, primer nombre, segundo nombre, segundo apellido, apellido paterno, apellido materno, nombre
			titular, nom prenom, nom naissance, nom de naissance, geburtsname, ansprechpartner, empfaengername, kontaktperson, familiya, imya, otchestvo, fio, familienname, nachname vorname, rufname, geburtsname, maedchenname, primer apellido, segundo apellido, primer nombre, segundo nombre, apellido paterno, apellido materno, nombre y apellidos, nombres, nom complet, nom prenom, nom usage, nom de famille, nom naissance, nome cognome, nominativo, nome social, nome da mae, nome mae, imie nazwisko, imie i nazwisko, nazwisko panienskie, ad soyad, adi soyadi, adi, soyadi, jmeno, prijmeni, cele jmeno, meno, priezvisko, nev, vezeteknev, keresztnev, teljes nev, ime, prezime, prenume, nume complet, namae, shimei, onamae, myoji, mei kanji, sei kanji, seongmyeong, ireum, xingming, mingzi, xing ming, ho ten, ho va ten, nama depan, nama belakang, fornamn, efternamn, mellomnavn, mellannamn, fullt navn, account holder, account holder name, card holder, contact person, contact person name, passenger name, authorized signer, signer name, signatory, signatory name, witness name, attendee name, participant name, claimant name, insured name, policyholder name, borrower name, coborrower name, guardian name, next of kin, next of kin name, debtor name, creditor name, dbtr nm, cdtr nm, given name, family name, mother name, father name, spouse name, emergency contact name, caller name, sender name, receiver name, payee name, payer name, remitter name, drawer name, legal representative, representative name`,
		Shape: Shape{Min: 1, Max: 80, Whole: true}, Check: personName,
		Yes: []string{"first_name=Orlane", "cardholderName=María del Carmen", "full_name=O'Neil-Smith, J."}, No: []string{"product_name=Soft Silk Hat", "file_name=kindly.mjs", "first_name=user_77", "name=Orlane", "full_name=https://shop.dev"}},
	{ID: "street_address", Title: "postal address", Category: Personal, Profile: Contact,
		Names: `street, street address, address line 1, address 1, line 1, address line, shipping address, home address, billing address, mailing address, postal
			address, residential address, address street, delivery address, street 1, street line 1, address line one, address one, street name and number, full
			address, physical address, permanent address, address full, customer address, user address, patient address, employee address, current address,
			previous address, home street, addr 1, strasse, strassenname, anschrift, adresse, postanschrift, wohnadresse, lieferadresse, rechnungsadresse, strasse
			und hausnummer, strasse hausnummer, rue, adresse postale, adresse ligne 1, adresse 1, adresse de livraison, adresse de facturation, adresse domicile,
			calle, direccion, direccion 1, direccion postal, direccion de envio, direccion de facturacion, domicilio, direccion particular, rua, endereco,
			logradouro, endereco 1, endereco de entrega, morada, via indirizzo, indirizzo, indirizzo di residenza, residenza, indirizzo 1, straat, straatnaam,
			adres, woonadres, bezorgadres, postadres, ulica, adres zamieszkania, adres dostawy, gatuadress, gatenavn, gateadresse, katuosoite, osoite, ulice,
			utca, lakcim, strada, sokak, acik adres, ev adresi, 地址, 住址, 详细地址, 收货地址, 住所, 番地, 주소, адрес, улица, dizhi, xiangxi dizhi, jusho, my address is, ship to,
			ship to address, deliver to, bill to address, address formatted, formatted address, lives at, residence, residence address, address text, address
			detail, postal street, thoroughfare, street and number, address, street name, addressline, correspondence address, property address, registered
			address, emergency address, pickup address, dropoff address, location address,
			hausanschrift, adres satiri, stras, strt name, alamat, dia chi, adresa, privatadresse, wohnadresse, lieferadresse, rechnungsadresse, lieferanschrift,
			direccion envio, direccion de envio, direccion de entrega, adresse de livraison, adresse de facturation, adresse livraison, indirizzo di spedizione,
			endereco de entrega, endereco residencial, adres dostawy, leveringsadresse, toimitusosoite, osoite, gateadresse, gatuadress, bezorgadres, woonadres,
			domicilio fiscal, strassenname, strasse hausnummer, wohnanschrift, wohnadresse, meldeadresse, lieferadresse, rechnungsadresse, postanschrift, calle, calle numero, direccion envio, direccion entrega, direccion fiscal, rue, numero rue, adresse livraison, adresse facturation, adresse domicile, via numero civico, indirizzo residenza, indirizzo consegna, rua numero, endereco entrega, endereco residencial, adres zamieszkania, adres korespondencyjny, adres dostawy, ulica numer, acik adres, ev adresi, teslimat adresi, fatura adresi, ulice, adresa, bydliste, trvale bydliste, lakcim, utca, domicilio fiscal, dia chi, alamat rumah, alamat lengkap, jusho, gojusho, dizhi, xiangxi dizhi, shouhuo dizhi, juso, adres domowy, woonadres, huisadres, bostadsadress, hemadress, osoite, kotiosoite, residential address, street 1, street 2, street line, street line 1, address line, address lines, addr line 1, address 1, address 2, mailing street, billing street, shipping street, other street, stras, street and number, house and street, full street, street full, address street line`,
		Shape: Shape{Min: 3, Max: 200, Whole: true}, Check: street,
		Yes: []string{"street_address=562 Eugene Views", "line1=Arroyo Teresa, 71 1º C, Zamora", "note=My address is 683 Kuvalis Way Suite 363."}, No: []string{"bind_address=:8080", "memory_address=0x7ffe", "email_address=none", "address_family=inet", "street=true"}},
	{ID: "postal_code", Title: "postal code", Category: Personal, Profile: WeakIdentifier,
		Names: `zip, zip code, zipcode, postal code, post code, postcode, postalcode, plz, postleitzahl, code postal, codepostal, codigo postal, cod postal, cep,
			codigo de endereco postal, codice postale, codice avviamento postale, postnummer, postnumero, kod pocztowy, iranyitoszam, posta kodu, postcode
			huisnummer, zip 5, zip plus 4, 邮编, 邮政编码, 郵便番号, 우편번호, индекс, почтовый индекс, youbian, postal, zip postal, zip or postal code, eircode, pincode
			postal, address zip, zip postal code, billing zip, shipping zip, post zip,
			postinumero, pstlz, pst code, kode pos, postnr, postnummer, postanski broj, postna stevilka, cod postal, codpostal, codice avviamento postale, irsz,
			post number, yubin bango, yubin, yuubin bangou, youbian, youzheng bianma, upyeon beonho, psc, iranyitoszam, postikod, postinro, plz ort, cod postal, postanski broj, kode pos, ma buu chinh, zip 5, zip 4, zip plus 4, postal pin, pin code postal`,
		Shape: Shape{Min: 3, Max: 10, Digits: 1, Whole: true}, Check: postal,
		Yes: []string{"zip=98570", "postcode=J4C 6Z1"}, No: []string{"zip=true", "zip_status_code=404", "zip=archive"}},

	// ---- devices and places ---------------------------------------------------------
	{ID: "ip_address", Title: "IP address", Category: Personal, Profile: WeakIdentifier, Alone: true,
		Names: `ip, ip address, client ip, remote addr, remote address, source ip, last login ip, signup ip, user ip, peer ip, x real ip, x forwarded for, x client
			ip, true client ip, cf connecting ip, visitor ip, customer ip, ip addr, remote ip, login ip, registration ip, ip v4, ip v6, ipv 4, ipv 6, adresse ip,
			direccion ip, ip adresse, ipadresse, indirizzo ip, endereco ip, dst ip, src ip, dest ip, destination ip, public ip, private ip, request ip, caller ip,
			device ip, ip from, x cluster client ip, x originating ip, fastly client ip, origin ip, session ip, created ip, updated ip, host ip`,
		Yes: []string{"=198.141.242.107", "note=Address 45.254.85.64 was blocked", "source_ip=2a02:7a1f:ebee:0431:5aff:ff22:9db1:cbbf"}, No: []string{"version=18.12.217.200", "=127.0.0.1", "section=5.3.2.1", "note=Upgrade to v14.9.56.88 before", "oid=1.3.6.1.4.1.36332.17.5"}},
	{ID: "mac_address", Title: "MAC address", Category: Personal, Profile: WeakIdentifier, Alone: true,
		Names: `mac, mac address, wifi mac, device mac, bssid, ethernet mac, mac addr, hw address, hardware address, bluetooth mac, bluetooth address, wlan mac,
			hwaddr, eth mac, physical address mac, lladdr, adresse mac, direccion mac, mac adresse, ble mac, station mac, client mac`,
		Yes: []string{"=3f:3f:52:1d:9d:d1", "mac=7d-72-8c-d7-79-a3"}, No: []string{"=3f:3f:52:1d:9d:d1:aa:bb", "time_code=47:89:87:00"}},
	{ID: "imei", Title: "IMEI", Category: Personal, Profile: GovernmentID,
		Names: `imei, device imei, imei number, imei 1, imei 2, imeisv, meid imei, handset imei, imei code, phone imei, numero imei, imei nummer, equipment identity,
			mobile equipment identity`, Shape: Shape{Min: 15, Max: 16, Digits: 15, AllDigits: true}, Check: imei,
		Yes: []string{"imei=358225898645735"}, No: []string{"imei=358225898645736", "=358225898645735"}},
	{ID: "iccid", Title: "SIM card number (ICCID)", Category: Personal, Profile: GovernmentID,
		Names: `iccid, sim iccid, sim serial, sim number, sim card number, sim serial number, icc id, icc, euicc id, esim iccid, sim id, sim card id, ccid, sim card
			serial, sim, sim karten number, sim kartennummer, sim card no, numero sim, sim number serial, carte sim number, simserial`, Shape: Shape{Min: 18, Max: 20, Digits: 18}, Check: iccid,
		Yes: []string{"iccid=8944480280512066489"}, No: []string{"iccid=8844480280512066489", "=8944480280512066489"}},
	{ID: "advertising_id", Title: "advertising id", Category: Personal, Profile: WeakIdentifier,
		Names: `idfa, gaid, advertising id, ad id, aaid, advertiser id, adid, google advertising id, apple advertising id, ifa, idfv, android advertising id, gps
			adid, google ad id, device ad id, mobile ad id, maid, advertising identifier, oaid, rida, fire ad id, id for advertisers, rdid, roku id, lgudid, tifa, vida, msai, afai, hwid ad`, Shape: Shape{Min: 32, Max: 32, Whole: true}, Check: uuid,
		Yes: []string{"idfa=3C630624-AEF4-47FC-BBE6-8D43F21052EC"}, No: []string{"request_id=3C630624-AEF4-47FC-BBE6-8D43F21052EC", "idfa=00000000-0000-0000-0000-000000000000"}},
	{ID: "geo_location", Title: "geographic position", Category: Location, Profile: WeakIdentifier,
		Names: `latitude, longitude, lat, lng, lon, geo lat, geo lng, geo lon, long, geo latitude, geo longitude, gps lat, gps lng, gps lon, gps latitude, gps
			longitude, location lat, location lng, lat lng, latlng, lat lon, latlon, lat long, latlong, coordinates, geo coordinates, gps coordinates, gps,
			geolocation, geo location, breitengrad, laengengrad, latitud, longitud, latitudine, longitudine, geo point, coords, home lat, home lng, pickup lat,
			pickup lng, dropoff lat, dropoff lng, last lat, last lng, position lat, position lng, start lat, start lng, end lat, end lng, origin lat, origin lng,
			dest lat, dest lng, szerokosc geograficzna, dlugosc geograficzna, 纬度, 经度, 緯度, 経度, 위도, 경도, широта, долгота, breddegrad, lengdegrad, enlem, boylam, gps breite, gps laenge, geo breite, geo laenge, szerokosc, dlugosc, enlem boylam, weidu, jingdu, ido, keido`,
		Shape: Shape{Min: 4, Max: 40, Digits: 4, Whole: true}, Check: position,
		Yes: []string{"latitude=-8.0926799", "lng=-120.97797"}, No: []string{"latency=30.8849", "lat=191.12345", "flat_rate=56.5087", "lat=true"}},
	{ID: "special_category", Title: "special category data", Category: Personal, Profile: HealthData,
		Names: `ethnicity, religion, sexual orientation, political affiliation, race, disability status, disability, race ethnicity, ethnic group, ethnic origin,
			racial origin, religious belief, religious affiliation, political party, political opinion, political view, political views, trade union, trade union
			membership, union membership, gender identity, veteran status, faith, creed, sexuality, orientacion sexual, religion del paciente, etnia, raza,
			afiliacion politica, discapacidad, konfession, religionszugehoerigkeit, ethnie, ethnische herkunft, sexuelle orientierung, politische meinung,
			gewerkschaft, gewerkschaftszugehoerigkeit, behinderung, orientation sexuelle, origine ethnique, appartenance syndicale, opinion politique, handicap,
			religione, orientamento sessuale, appartenenza politica, disabilita, religiao, orientacao sexual, raca, deficiencia, religie, geloof, seksuele
			geaardheid, etniciteit, wyznanie, orientacja seksualna, narodowosc etniczna, niepelnosprawnosc, 民族, 宗教, 宗教信仰, 政治面貌, 性取向, 인종, 종교, религия, этническая
			принадлежность, minzu, caste, hispanic or latino, church membership, denomination, party affiliation, party membership, partido, partido politico, parti politique, parti, partei, parteizugehoerigkeit, partito, partito politico, partai, orientacion politica, orientacao politica, orientamento politico, vakbond, fagforening, fackforening, sindicato, sindacato, zwiazek zawodowy, sendika, din, dini, etnik koken, etnisitas, agama, suku, ton giao, dan toc, kasta, jati, gotra, veroispovedanie, natsionalnost, vallas, nabozenstvi, vera, vjeroispovijest, shukyo, jinshu, zongjiao, minzu, jonggyo, religia, uskonto, trossamfund, etnisk bakgrund, seksuell legning, sexuell laggning, sexuelle ausrichtung`,
		Shape: Shape{Min: 1, Max: 60, Whole: true}, Check: words1,
		Yes: []string{"ethnicity=Hispanic"}, No: []string{"race_condition=true", "race=5", "religion=true"}},

	// ---- health -------------------------------------------------------------------------
	{ID: "us_npi", Title: "US provider number (NPI)", Category: Health, Profile: WeakIdentifier,
		Names: `npi, provider npi, national provider identifier, npi number, national provider id, prescriber npi, physician npi, rendering npi, billing npi,
			referring npi, national provider id number, doctor npi, facility npi, organization npi`, Shape: Shape{Min: 10, Max: 10, Digits: 10, AllDigits: true}, Check: npi,
		Yes: []string{"npi=1952721540"}, No: []string{"npi=1952721541", "=1952721540"}},
	{ID: "us_dea", Title: "US DEA number", Category: Health, Profile: HealthData,
		Names: "dea number, dea, dea no, dea registration, dea registration number, prescriber dea, physician dea, provider dea, dea id, dea license", Shape: Shape{Min: 9, Max: 9, Digits: 7}, Check: dea,
		Yes: []string{"dea=FA6006197"}, No: []string{"dea=FA6006198", "sku=FA6006197"}},
	{ID: "us_mbi", Title: "US Medicare beneficiary id", Category: Health, Profile: HealthData,
		Names: `mbi, medicare beneficiary identifier, medicare beneficiary id, medicare id, medicare number, medicare, medicare mbi, hicn, medicare claim number,
			medicare beneficiary number, beneficiary identifier`, Shape: Shape{Min: 11, Max: 11, Digits: 4}, Check: mbi,
		Yes: []string{"mbi=1YK8-R14-AG22", "note=MBI: 3WE4FE5VH04, ok"}, No: []string{"mbi=1YK8-S14-AG22"}},
	{ID: "medical_record_number", Title: "medical record number", Category: Health, Profile: HealthData,
		Names: `mrn, medical record number, patient mrn, medical record id, medical record, chart number, patient number, hospital number, hospital id number, patient
			id number, patient chart number, numero de historia clinica, historia clinica, nhc, numero dossier medical, dossier medical, patientennummer,
			patientenakte, fallnummer patient, numero de prontuario, prontuario, cartella clinica, numero cartella clinica, patientnummer, ehr number, emr number,
			mr number, unit record number, 病历号, 住院号, カルテ番号, binglihao, hospital record number, health record number, clinic number, med rec number, mpi number,
			empi, enterprise mrn, patient record number,
			patient file number, krankenaktennummer, patientenaktennummer, numero historia clinica, numero de historia clinica, numero dossier patient, numero
			cartella clinica, numero prontuario, prontuario, patientennummer, hospital no, patient no, patienten nr, patienten number, fall number, fallnummer, aufnahmenummer, historia number, nro historia clinica, dossier patient, numero patient, patient file no, kartoteka, numer kartoteki, hasta dosya no, hasta no, dosya number, karta bolnogo, cislo karty pacienta, karutebango`, Shape: Shape{Min: 5, Max: 16, Digits: 4}, Check: recordNumber,
		Yes: []string{"mrn=MRN9610435", "note=MRN 831099992."}, No: []string{"mrn=true", "=MRN9610435"}},
	{ID: "health_insurance_id", Title: "health insurance id", Category: Health, Profile: HealthData,
		Names: `health insurance id, insurance member id, member id insurance, health plan id, health insurance number, insurance id, insurance policy number, health
			plan member id, insurance policy id, subscriber id, insurance subscriber id, insurance number health, health plan number, medicaid id, medicaid
			number, plan member id, insurance card number, payer member id, krankenversicherungsnummer, krankenversichertennummer, versichertennummer, kvnr,
			versichertennr, egk nummer, numero mutuelle, numero assurance maladie, numero de afiliado, numero afiliado, tarjeta sanitaria, numero tarjeta
			sanitaria, tessera sanitaria, numero tessera sanitaria, numero de utente, cartao nacional de saude, cns, verzekerdennummer, polisnummer zorg,
			zorgverzekering nummer, ehic, ehic number, group member id, insured id, beneficiary health id, health id number, ohip, ohip number, health card
			number, health card, hcn, ahv health, medical insurance number, medical insurance id, health insurance member id, health insurance policy number,
			member number insurance, policy member id, hicn, 医保号, 医保卡号, 保険証番号, insurance member number, carte vitale id, health coverage id, member id health,
			numero seguro medico, numero securite sante, numero mutuelle, numero afiliado, numero de afiliado, carte vitale, tessera sanitaria, carteira saude,
			cartao saude, versichertennr, krankenkassennummer, insurance member id, policyholder id, policy holder id, kv nummer, kv number, krankenkasse nummer, krankenkassen number, versicherten id, versicherungsnummer kranken, numero afiliacion, afiliacion number, nro afiliado, afiliado number, numero assure, assure number, numero adherent, adherent number, numero tessera, tessera number, numero beneficiario salud, carteirinha, numero carteirinha, numer ubezpieczenia, ubezpieczenia number, sigorta number, sgk number, cislo pojistence, pojistenec, taj szam, taj, bpjs, nomor bpjs, hokensho bango, hokensho, hihokensha bango, yibao kahao, yibaohao, sygesikring, helsekort, kela kortti, ahv nummer, ahv number, health card no, versicherten number`, Shape: Shape{Min: 6, Max: 20, Digits: 4}, Check: recordNumber,
		Yes: []string{"insurance_member_id=J657292151"}, No: []string{"insurance_id=true", "member_id=J657292151"}},
	{ID: "diagnosis_code", Title: "diagnosis code (ICD-10)", Category: Health, Profile: HealthData,
		Names: `diagnosis code, icd 10, icd 10 code, diagnosis, icd, icd code, icd 10 cm, primary diagnosis, admitting diagnosis, secondary diagnosis, dx code, dx,
			diag code, principal diagnosis, diagnose, diagnosecode, diagnoseschluessel, diagnostico, codigo diagnostico, codigo cie, cie 10, cie 10 code, code
			cim, cim 10, code diagnostic, diagnostic, diagnosi, codice diagnosi, codice icd, cid 10, rozpoznanie, kod rozpoznania, diagnos, diagnoosi, tani kodu,
			诊断, 诊断编码, 疾病编码, 診断コード, диагноз, код диагноза, zhenduan, condition code, discharge diagnosis, final diagnosis, diagnosed with, diagnoses, working
			diagnosis, diagnosis icd, icd code 10, icd 10 diagnosis, kodi diagnozy, kod diagnozy, kod mkb, mkb 10, mkb, icd kod, bno kod, bno, dijagnoza, diagnoza, codigo diagnostico principal, diagnostico principal, diagnostic principal, code diagnostic principal, hauptdiagnose, nebendiagnose, aufnahmediagnose, entlassdiagnose, byomei kodo, tani, icd 9, icd 11`, Shape: Shape{Min: 3, Max: 7, Digits: 2}, Check: icd10,
		Yes: []string{"icd10=G40.909", "note=Diagnosed with A15.0."}, No: []string{"icd10=900", "section=A15.0", "diagnosis=ok"}},
	{ID: "medical_info", Title: "medical information", Category: Health, Profile: HealthData,
		Names: `blood type, allergies, medication, prescription, medical condition, medications, blood group, allergy, medical history, current medication, current
			medications, chronic condition, chronic conditions, drug allergies, medical conditions, prescribed medication, drug name, prescription drug,
			vaccination, immunization, immunizations, vaccination status text, symptoms, symptom, treatment plan, health condition, health conditions, pre
			existing condition, preexisting conditions, hiv status, pregnancy status, mental health, lab result, medical notes, clinical notes, blutgruppe,
			allergien, medikament, medikamente, vorerkrankung, vorerkrankungen, krankheit, rezept medikament, groupe sanguin, allergie, medicament, medicaments,
			antecedents medicaux, traitement medical, ordonnance, maladie, grupo sanguineo, tipo de sangre, alergias, medicacion, medicamento, medicamentos,
			enfermedad, enfermedades, antecedentes medicos, receta medica, gruppo sanguigno, allergia, farmaco, farmaci, patologia, patologie, malattia, tipo
			sanguineo, alergia, doenca, doencas, medicacao, historico medico, bloedgroep, medicijn, medicijnen, aandoening, grupa krwi, leki, choroba, alergie,
			blodgrupp, allergier, medicin, sjukdom, veriryhma, laakitys, kan grubu, ilac, hastalik, alerji, 血型, 过敏史, 过敏, 药物, 病史, 用药, 血液型, アレルギー, 薬, 혈액형, 알레르기,
			группа крови, аллергия, лекарство, xuexing, medical condition text, medicine, medicine name, medications list, allergy list, rx drug,
			diagnosis text, diagnosis description, disease, illness, patient condition, presenting complaint, chief complaint, comorbidities, dosage instructions, antecedentes, antecedents, antecedentes personales, antecedentes familiares, medicacion actual, medicacion habitual, medikation, dauermedikation, arzneimittel, wirkstoff, therapie, terapia, terapia in corso, traitement, traitements, traitement en cours, medicaments en cours, enfermedades previas, enfermedades cronicas, alergia medicamentos, alergias conocidas, alergie lekowe, allergene, unvertraeglichkeiten, diagnosetext, condition description, medical condition description, leczenie, przyjmowane leki, choroby przewlekle, choroby, tedavi, ilaclar, hastaliklar, kullandigi ilaclar, lekarstvo, lekarstva, diagnoz tekst, zabolevaniya, allergii, gruppa krovi, shoujo, byoreki, byomei, kusuri, arerugi, bingshi, guominshi, yongyao, guomin, riwayat penyakit, alergi, obat, golongan darah, tien su benh, benh su, onemoci, leky, krevni skupina, betegsegek, gyogyszerek, vercsoport, bloedgroep, medicatie, allergieen, ziekten, sykdommer, medisiner, medicinering, sjukdomar, laakkeet, sairaudet, medication name, medication text, allergen, known allergies, allergy name, problem list, surgical history, family history medical, medication list, blood type rh`, Shape: Shape{Min: 1, Max: 200, Whole: true}, Check: medical,
		Yes: []string{"blood_type=AB+", "medication=Sertraline 50mg"}, No: []string{"prescription=true", "allergies=0", "medication_count=3", "blood_type=null"}},
}

// blockers are names that say what a value is when it is nothing sensitive;
// where one is the longest phrase that fits, it wins over shorter hints.
var blockers = []struct {
	flags   nameFlags
	phrases string
}{
	{public, `public key, publishable key, public api key, site key, recaptcha site key, client key, ssh public key, authorized key, publishable api key, stripe
		publishable key, public token, captcha key, vapid key, vapid public key, host key, public access token, anon key, client certificate, certificate, ca
		certificate, ca bundle, thumbprint, key fingerprint, public signing key, server public key, recaptcha key, turnstile key`},
	{public, `csrf token, xsrf token, x csrf token, csrf middleware token, csrfmiddlewaretoken, authenticity token, request verification token, anti forgery token,
		antiforgery token, form token, page token, next page token, next token, continuation token, sync token, next sync token, prev page token, previous
		page token, pagination token, cursor token, scroll token, resume token, skip token, offset token, list continuation token, more token, iterator token,
		seek token, lock token, fencing token, batch token, upload token, delta token, start token, end token, page after token, marker token, cancellation
		token, idempotency token, client request token, push token, device token, fcm token, apns token, registration token push, recaptcha token, captcha
		token, trace token, x amz cf id, upload marker, list token, history token, watch token, change token, nonce token, correlation token, etag token,
		concurrency token, version token, consistency token, snapshot token, state token, tracking token, unsubscribe token, separator token, non separator
		token, search after token, query token, iteration token, paging token, bookmark token, design token, next marker, stop token, bos token, eos token,
		pad token, g recaptcha response`},
	{public, `primary key, foreign key, sort key, partition key, routing key, cache key, object key, s 3 key, config key, translation key, idempotency key, x
		idempotency key, range key, hash key, composite key, surrogate key, natural key, unique key, dedupe key, dedup key, deduplication key, shard key, row
		key, message key, i 18 n key, locale key, setting key, settings key, field key, item key, storage object key, file key, blob key, issue key, project
		key, record key, group key, parent key, join key, lookup key, key name, key type, key id, access key type, sorting key, group by key, feature key,
		metric key, event key, license key id, index key, map key, tag key, attribute key, property key, label key, surrogate keys, cache control key, sec
		websocket key, websocket key, sec websocket accept, x amz key, correlation key, business key, reference key, ssh key id, key pair name, key alias, kms
		key id, kms key, kms key arn, asset key, resource key, lock key, tracking key, natural key value, document key, doc key, menu key, hot key, shortcut
		key, app key name, ssh key name, deploy key name, api key id, api key name, external key, integration id`},
	{ident, `order number, order id, tracking number, tracking id, parcel id, transaction id, transaction reference, invoice number, ticket number, ticket id,
		booking ref, booking reference, confirmation number, customer number, customer id, member id, member number, item number, part number, serial number,
		model number, batch number, lot number, case number, claim number, claim id, reference number, reference id, document ref, document number, product
		code, product number, store number, store id, job id, shipment id, shipment number, carrier tracking, carrier tracking number, waybill number, awb
		number, airway bill, consignment number, delivery number, purchase order number, po number, quote number, receipt number, voucher number, coupon code,
		promo code, gift card number, gift card code, loyalty card number, loyalty number, loyalty card, membership number, membership id, frequent flyer
		number, policy number, contract number, project number, account id, aws account id, owner id, user id, employee id, employee number, staff number,
		external id, location id, device id, device serial, e ticket, e ticket number, eticket, flight number, pnr, barcode, isbn, ean, gtin, upc, asin, sku,
		asset tag, license key id, license key, licence key, product key, activation key, software license, software license number, business license number,
		medical license number, library card number, id card type, card id, card type, card brand, card status, card network, card token, card last 4, card
		last four, card bin, bin, iin, token id, session id number, message id, channel id, guild id, thread id, request id, trace id, span id, correlation
		id, run id, event id, build number, page number, line number, row number, sequence number, room number, house number, street number, flat number,
		apartment number, building number, suite number, seat number, group number, plan code, route number, version number, port number, chapter number,
		issue number, volume number, version code, terminal id, terminal number, merchant id, merchant number, gateway id, batch id, payment id, payment
		reference, payment intent, charge id, refund id, subscription id, plan id, price id, product id, variant id, warehouse code, location code, department
		code, cost center, gl account, gl account number, ledger account, account code, account type, account status, currency code, country code, region
		code, state code, status code, error code, response code, exit code, reason code, return code, http status, result code, language code, locale code,
		area code, dialing code, country calling code, calling code, phone code country, phone country code, phone extension, extension, hs code, naics code,
		sic code, mcc, merchant category code, color code, coordinates system, ip version, phone type, email type, email status, email verified, email domain,
		name type, address type, address id, contact id, contact type, bank id, bank code, bank name, branch code, branch name, sort code, swift message type,
		iban country, sms id, mail id count, fax count, birth rate, birth place, birth country, birth city, birth year range, vintage year, id type, document
		type, passport country, passport expiry, passport expiry date, passport issue date, license expiry, license type, license class, plate type, plate
		count, visa number type, mac count, lat count, asset number, equipment number, article number, catalog number, stock number, bin number, rack number,
		dock number, gate number, check number, cheque number, meter number, circuit number, unit number, registration number, company registration number,
		company number, org number, organization number, vat number, crm id, lead id, opportunity id, folio number, docket number, work order number, rma
		number, return number, voucher code, discount code, referral code, invite code, share code, short code, campaign code, campaign id, survey id, form
		number, report number, incident number, change number, problem number, request number, application number, application id, account holder id, person
		id, party id, resource id, subject id, object id, entity id, tenant id, organization id, workspace id, team id, group id, role id, permission id,
		folder id, file id, image id, video id, media id, attachment id, comment id, post id, tweet id, status id, conversation id, chat id, call id, meeting
		id, meeting number, webinar id, room id, node id, cluster id, instance id, volume id, snapshot id, network id, subnet id, vpc id, security group id,
		sg id, ami id, zone id, record id, row id, external reference, external ref, merchant reference, merchant ref, bank reference, bank ref, retrieval
		reference number, rrn reference, stan, authorization code bank, approval code, auth response code, acquirer reference number, arn, arn number, network
		reference, trace number, end to end id, instruction id, remittance id, mandate id, mandate reference, creditor id, debtor id, end to end reference,
		payment ref, swift reference, uetr, settlement id, batch reference, statement number, deposit id, withdrawal id, transfer id, ledger entry, ledger id,
		journal number, posting number, sim type, sim status`},
	{ident, `product name, company name, vendor name, merchant name, organization name, business name, legal entity name, brand name, store name, shop name, bank
		account name, host name, hostname, server name, domain name, bucket name, node name, file name, filename, template name, display name, plan name, item
		name, user name, username, login name, screen name, nick name, nickname, project name, repo name, branch tag name, tag name, role name, group name,
		team name, event name, class name, package name, method name, function name, field name, column name, table name, database name, schema name, index
		name, queue name, topic name, stream name, cluster name, service name, app name, application name, device name, model name, city name, country name,
		state name, region name, category name, campaign name, channel name, list name, key name, secret name, policy name, resource name, image name,
		container name, pod name, namespace name, account name, short name, common name, network name, space name, folder name, form name, page name, document
		name, course name, school name, hospital name, clinic name, pharmacy name, insurance name, insurer name, provider name, employer name, carrier name,
		street type name, drug brand name, status name, type name, sku name, variant name, attribute name, parameter name, variable name, metric name, alert
		name, dashboard name, report name, rule name, job name, task name, step name, stage name, pipeline name, workflow name, build name, test name, suite
		name, profile name, theme name, font name, color name, product full name, repository full name, repo full name, full name repository, customer company
		name, legal name company, company legal name`},
	{ident, `address family, bind address, memory address, contract address, contract address type, listen address, server address, base address, start address,
		end address, mac address type, email address type, ip address type, virtual address, physical memory address, token address, network address, web
		address, url address, site address, broadcast address, gateway address, return address code, address hash, register address, subnet address, address
		count, address status, address space, address prefix, bus address, smart contract address, bind addr, listen addr, advertise address, cluster address,
		peer address, node address, internal address, external address, pod address, service address`},
	{version, `version, app version, sdk version, firmware, firmware version, driver version, build, build version, release, section, clause, heading, chapter,
		paragraph, oid, snmp oid, policy oid, os version, browser version, api version, client version, server version, kernel version, agent version, release
		version, software version, bios version, user agent, ua, revision, semver, engine version, plugin version, package version, min version, max version,
		runtime version, chart version, schema version, product version, file version, assembly version, library version, numbering, outline, article, release
		tag, patch level, ios version, android version, platform version, x app version, image tag, tag name version, section number, clause number, heading
		number`},
	{public, `etag, if none match, if match, checksum, digest, sha 1, sha 256, sha 512, md 5, hash, content hash, file hash, integrity, fingerprint, commit, commit
		id, sha, head sha, tree id, revision id, gravatar id, trace parent, traceparent, trace state, x b 3 trace id, cursor, next cursor, after, before,
		nonce, blob, thumbnail, avatar, tx hash, transaction hash, block hash, ipfs hash, cid, crc, checksum sha 256, content md 5, x amz content sha 256,
		merkle root, request hash, signature hash, code challenge, jti, kid, thumb, image data, audio data, password hash algorithm, passwordhash type`},
	{ident, `latency, translation, platform, flat rate, plate form, template, long description, long name, long text, latest, race condition, race id, race number,
		race name, race result, sensor reading, medication count, prescription id, prescription number, allergy count, disease code, exp level, experience,
		expected, expense, export, expires in, expires at, expires on, expires, expiry date, expire at, expiry time, expiration time, expiration date, token
		expiry, token expires, token expiry date, cookie expires, session expires, session expiry, exp claim, cache expiry, key expiry, password expiry,
		password expires, password expiration, license expiry date, certificate expiry, cert expiry, offer expiry, subscription expiry, trial expiry, link
		expiry, url expiry, expiry timestamp, salary range, salary grade, salary band, salary type, salary currency, salary frequency, birth certificate, card
		holder count, pin count, pin status, pin code status, pinned, shipping lines, pin type, spin, pass count, pass rate, pass fail, pass through,
		passthrough, pass percentage, boarding pass, ski pass, bus pass, pass type, season pass, password age days, security group, security level, security
		policy, security code status, clave producto, clave prod serv, clave unidad, sin value, cos value, sin angle, sin theta, run number, run count, run
		at, run type, run time, fin date, fin time, cap rate, cap size, market cap, cell index, cell value, cell id, cell count, cell type, cell line, mobile
		app, mobile version, mobile os, is mobile, mobile platform, tel aviv, race time, street view, mail type, mail server, mail subject, mail host, mail
		port, mail queue, mail count, direct mail, mail class, mail template, portable version, konto typ, tarjeta tipo, carte type, social media, social
		links, social login, social network, social handle, social provider, bearer format, bearer type, session state, session timeout, session duration,
		session count, session name, session type, session status, token type, token count, total tokens, prompt tokens, completion tokens, input tokens,
		output tokens, max tokens, used tokens, cached tokens, token limit, token symbol, token name, token endpoint, token url, auth type, auth method, auth
		status, auth provider, auth scheme, authentication method, grant type, secret path, secret type, secret version, otp length, otp type, otp digits, otp
		method, totp enabled, mfa type, mfa method, pin length, zip file, zip url, zip size, zip path, zip status, zip name, code, state, status, type, kind`},
}

// wordFlags are words that say something wherever they stand in a name.
var wordFlags = func() map[string]nameFlags {
	m := map[string]nameFlags{}
	for f, list := range map[nameFlags]string{
		ident: `package delivery policy contract agreement appointment reservation room building floor gate terminal train order tracking transaction txn tx invoice
			ticket booking parcel shipment consignment waybill sku upc ean gtin isbn asin barcode serial sn model batch lot asset part case claim coupon voucher
			promo receipt quote ref reference uuid guid nonce sequence seq index offset page row count catalog article warehouse rma pnr eticket folio docket
			flight seat timestamp ts epoch nano nanos millis micros unix time hash checksum digest etag commit trace span correlation snowflake message thread
			channel guild tweet job run event license sid cursor ratio score probability weight percent percentage amount price total balance budget revenue
			quantity qty rate duration latency width height size bytes version revision variant ledger posting journal statement cheque meter circuit incident
			consumer bestellung commande pedido ordine zamowienie bestelling sendung envio colis factura rechnung facture fattura artikel produkt produit producto
			prodotto numeroserie seriennummer auftrag referenz referencia riferimento referentie vorgang aktenzeichen`,
		version: `build upgrade upgraded upgrading update updated downgrade install installed deploy deployed patch rollback version firmware release sdk oid section
			clause chapter heading semver ua agent bios kernel paragraph kapitel abschnitt versie wersja versione`,
		public: `public publishable csrf xsrf cursor pagination etag checksum digest nonce fingerprint integrity sha sha256 thumbprint placeholder example sample
			captcha recaptcha idempotency gravatar traceparent`,
	} {
		for w := range wordSet(list) {
			m[w] |= f
		}
	}
	return m
}()

// things end the name of something that is numbered: booking ref, store no.
var things = wordSet("id number ref reference code key sku index sequence hash sid uuid guid serial lot batch tag count handle slug name label kennung nummer referencia referenz codigo clave identificador identifiant identificativo chave kod")
