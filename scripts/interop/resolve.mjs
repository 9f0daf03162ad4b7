// Other people's DID clients against a node.
//
//   node resolve.mjs http://127.0.0.1:7400 did:dcann:xz:b…
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert'
import { Resolver } from 'did-resolver'
import { getUniResolver } from '@sphereon/did-uni-client'
import { DidResolverCommon } from '@atproto-labs/did-resolver'
import { fetchJsonProcessor, fetchJsonZodProcessor, fetchOkProcessor } from '@atproto-labs/fetch'
import { pipe } from '@atproto-labs/pipe'
import { didDocumentValidator } from '@atproto/did'

const [base, did] = process.argv.slice(2)
const absent = did.slice(0, -4) + (did.endsWith('aaaa') ? 'eeee' : 'aaaa')

// The DIF resolver library with a universal-resolver client as its driver for our method.
async function universal() {
  const resolver = new Resolver(getUniResolver('dcann', { resolveUrl: base + '/1.0/identifiers' }))
  const result = await resolver.resolve(did)
  strictEqual(result.didResolutionMetadata.error, undefined)
  strictEqual(result.didDocument.id, did)
  ok(result.didDocumentMetadata.versionId, 'a version')
  ok(result.didDocument.verificationMethod.every((m) => m.type === 'Multikey' && m.controller === did))
  await rejects(resolver.resolve(absent), 'an identifier that nobody has')
  return result.didDocument
}

// A strict client: it demands application/did+ld+json (or application/json) to the letter, follows no
// redirect, and validates the document against its own schema. Its drivers are for other methods only, so
// this is the one for did:plc with our path.
async function strict() {
  const handle = pipe(fetchOkProcessor(), fetchJsonProcessor(/^application\/(did\+ld\+)?json$/), fetchJsonZodProcessor(didDocumentValidator))
  class Ours extends DidResolverCommon {
    constructor() {
      super()
      this.methods.set('dcann', {
        resolve: (id) => fetch(new URL(`/1.0/identifiers/${encodeURIComponent(id)}`, base), {
          redirect: 'error', headers: { accept: 'application/did+ld+json,application/json' },
        }).then(handle),
      })
    }
  }
  const resolver = new Ours()
  await rejects(resolver.resolve(absent), 'an identifier that nobody has')
  return resolver.resolve(did)
}

// What other clients ask for, by the header alone. The one with a profile is what the Universal Resolver's
// own front end and Veramo send.
async function asked(accept, type) {
  const answer = await fetch(`${base}/1.0/identifiers/${did}`, { headers: { accept } })
  strictEqual(answer.status, 200, `Accept: ${accept}`)
  strictEqual(answer.headers.get('content-type').split(';')[0], type, `Accept: ${accept}`)
  const body = await answer.json()
  return body.didDocument ?? body
}

const document = await universal()
const { '@context': context, ...bare } = await strict()
deepStrictEqual(context, ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'])
// Its schema drops what it does not know; these it knows.
const services = (doc) => doc.service?.map(({ id, type, serviceEndpoint }) => ({ id, type, serviceEndpoint }))
deepStrictEqual(services(bare), services(document))
for (const member of ['id', 'verificationMethod', 'authentication'])
  deepStrictEqual(bare[member], document[member], member)
for (const [accept, type] of [
  ['application/did+json', 'application/did+json'],
  ['application/did+ld+json', 'application/did+ld+json'],
  ['application/did', 'application/did'],
  ['application/did-resolution', 'application/did-resolution'],
  ['application/ld+json;profile="https://w3id.org/did-resolution"', 'application/did-resolution'],
  ['*/*', 'application/did-resolution'],
]) strictEqual((await asked(accept, type)).id, did, accept)
console.log(JSON.stringify({ id: document.id, services: (document.service ?? []).map((s) => s.serviceEndpoint) }))
