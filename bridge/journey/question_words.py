"""The words in which a task asks who somebody is, in each language that a company can read it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionWords:
    """One language; `{}` takes what the name says, in the order of the sentence."""

    who_is: str
    is_it: str
    is_all: str
    contact: str
    same_number: str
    same_address: str
    typed_in: str
    last_message: str
    answer: str
    how_one: str
    how_several: str
    how_all: str
    consequences: str
    no_answer: str
    settled: str
    changed: str
    dismissed: str


_EN = QuestionWords(
    who_is="Who is {}? {}",
    is_it="Is {} {}?",
    is_all="Is all of this {}?",
    contact="contact {}",
    same_number="same number {}",
    same_address="same address {}",
    typed_in="typed in",
    last_message="Last message, {}",
    answer="ANSWER",
    how_one='Write "yes" or "no" after ANSWER, then complete the task.',
    how_several='Write {} or "none" after ANSWER, then complete the task.',
    how_all='Write "yes", or the numbers of what is somebody else\'s, after ANSWER, then complete the task.',
    consequences="Completed without an answer, it decides nothing. Deleted, it is not asked again until something"
    " changes.",
    no_answer='"{}" is no answer.',
    settled="No longer asked: this is {}.",
    changed="No longer asked: what is known has changed.",
    dismissed="No longer asked: it was dismissed in crmbridge.",
)

_PT = QuestionWords(
    who_is="Quem é {}? {}",
    is_it="{} é {}?",
    is_all="Tudo isto é de {}?",
    contact="contato {}",
    same_number="mesmo número {}",
    same_address="mesmo endereço {}",
    typed_in="digitado",
    last_message="Última mensagem, {}",
    answer="RESPOSTA",
    how_one='Escreva "sim" ou "não" depois de RESPOSTA e conclua a tarefa.',
    how_several='Escreva {} ou "nenhum" depois de RESPOSTA e conclua a tarefa.',
    how_all='Escreva "sim", ou os números do que é de outra pessoa, depois de RESPOSTA e conclua a tarefa.',
    consequences="Concluída sem resposta, não decide nada. Apagada, não se pergunta de novo até que algo mude.",
    no_answer='"{}" não é uma resposta.',
    settled="Não se pergunta mais: é {}.",
    changed="Não se pergunta mais: o que se sabe mudou.",
    dismissed="Não se pergunta mais: foi descartado no crmbridge.",
)

_ES = QuestionWords(
    who_is="¿Quién es {}? {}",
    is_it="¿{} es {}?",
    is_all="¿Todo esto es de {}?",
    contact="contacto {}",
    same_number="mismo número {}",
    same_address="misma dirección {}",
    typed_in="escrito",
    last_message="Último mensaje, {}",
    answer="RESPUESTA",
    how_one='Escriba "sí" o "no" después de RESPUESTA y complete la tarea.',
    how_several='Escriba {} o "ninguno" después de RESPUESTA y complete la tarea.',
    how_all='Escriba "sí", o los números de lo que es de otra persona, después de RESPUESTA y complete la tarea.',
    consequences="Completada sin respuesta, no decide nada. Borrada, no se vuelve a preguntar hasta que algo cambie.",
    no_answer='"{}" no es una respuesta.',
    settled="Ya no se pregunta: es {}.",
    changed="Ya no se pregunta: lo que se sabe ha cambiado.",
    dismissed="Ya no se pregunta: se descartó en crmbridge.",
)

_LANGUAGES = {"en": _EN, "pt": _PT, "es": _ES}

ANSWERS = tuple(words.answer for words in _LANGUAGES.values())
"""What stands before the answer, in any language: a company may have changed its own since."""

HINTS = tuple(
    hint.partition(" ")[0]
    for words in _LANGUAGES.values()
    for hint in (words.how_one, words.consequences.partition(" ")[0])
)
"""How the lines begin that follow the answer."""

YES = frozenset(("yes", "y", "sim", "s", "si"))
NO = frozenset(("no", "n", "nao"))
NONE = frozenset(
    ("none", "nobody", "neither", "nenhum", "nenhuma", "ninguem", "ninguno", "ninguna", "ningun", "nadie")
)
"""Words of an answer, folded: without accents, in small letters."""


def question_words(language: str) -> QuestionWords:
    """Return the words of a language (`pt` or a tag such as `pt-BR`), English where there are none."""
    return _LANGUAGES.get(language[:2].lower(), _EN)
