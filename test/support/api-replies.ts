import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: object }>> }>>
}

export interface OpenApiDocument {
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** Holds replies against the document that describes them. */
export class ReplyCheck {
  readonly #document: OpenApiDocument
  readonly #ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, formats: { binary: true } })

  constructor(document: OpenApiDocument) {
    this.#document = document
    this.#ajv.addSchema(shapesSchema(document.components.schemas))
  }

  /** Every schema of the document, compiled; throws for one that is none. */
  compileAll(): number {
    const schemas = Object.values(this.#document.components.schemas)
    for (const schema of schemas) this.#compile(schema)
    return schemas.length
  }

  /** What is wrong with a reply to `method path`, as a sentence each. */
  async faultsOf(method: string, path: string, reply: Response): Promise<readonly string[]> {
    const body = await reply.text()
    const described = this.#document.paths[path]?.[method.toLowerCase()]?.responses[String(reply.status)]
    if (described === undefined) return [`${reply.status} is not described: ${body.slice(0, 200)}`]
    const type = (reply.headers.get('content-type') ?? '').replace(/;.*$/, '')
    const { content } = described
    if (body === '' || content === undefined) return body === '' || reply.status === 302 ? [] : [`a body of ${type} is not described`]
    const found = content[type] ?? (type.includes('json') ? undefined : content['*/*'] ?? content['application/octet-stream'])
    if (found === undefined) return [`${type} is not described for ${reply.status}`]
    if (!type.includes('json') || found.schema === undefined) return []
    const validate = this.#compile(found.schema)
    if (validate(JSON.parse(body))) return []
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}: ${body.slice(0, 300)}`)
  }

  #compile(schema: object): ValidateFunction {
    return this.#ajv.compile(named(schema))
  }
}

const SHAPES = 'https://shapes.example/'

/** Named shapes, for references to lead to. */
export function shapesSchema(shapes: Readonly<Record<string, object>>): object {
  return named({ $id: SHAPES, $defs: shapes })
}

/** References lead into the document, wherever the schema is taken from. */
export function named(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', `"${SHAPES}#/$defs/`)) as object
}
