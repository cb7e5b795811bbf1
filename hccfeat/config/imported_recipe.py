"""What is known of a feature set whose vectors another tool made."""

from typing import Any, Literal

from pydantic import Field

from hccfeat.config.files import Frozen
from hccfeat.config.recipe import PrognosticRecipe
from hccfeat.files import sha256_of

ExchangeFormat = Literal["clam", "trident", "stamp", "h5ad", "parquet"]


class ImportedRecipe(Frozen):
    """The declared origin of imported vectors: it takes the place of a recipe, for nothing can be made again."""

    modality: Literal["imported"] = "imported"
    name: str
    title: str = ""
    format: ExchangeFormat
    encoder: str = Field(description="name of the network, as the files or the user say")
    weights_sha256: str | None = Field(None, description="of the network's weights, as the user declared")
    content_sha256: str | None = Field(None, description="of the imported files, where no weights were declared")
    source_dtype: str = Field(description="numbers in the files; the store holds float32")
    coordinates: Literal["level-0 pixels", "micrometres"]
    seen: tuple[str, ...] = Field((), description="cohorts that trained the network, as the user declared")
    prognostic: PrognosticRecipe = PrognosticRecipe()

    def preprocessing(self) -> dict[str, Any]:
        """Return what is known of how the vectors came about."""
        return self.model_dump(mode="json", include={"format", "source_dtype", "coordinates"})

    def preprocessing_sha256(self) -> str:
        """Identity of :meth:`preprocessing`."""
        return sha256_of(self.preprocessing())

    def identity(self, dim: int) -> str:
        """Identity of the feature set: equal for equal files, or for equal declared weights."""
        origin = {"weights": self.weights_sha256} if self.weights_sha256 else {"content": self.content_sha256}
        return sha256_of({"imported": self.preprocessing(), "encoder": self.encoder, "dim": dim, **origin})
